"""Every command on a page exists, with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from latte.cli.main import app
from latte.registry.plugin_file import forgetting_plugin_file
from tests.helpers.doc_pages import ConsoleLine, commands, plugin_files

SHOWN = list(commands())


def test_pages_have_commands() -> None:
    assert len(SHOWN) > 25


@pytest.mark.parametrize("command", SHOWN, ids=lambda one: f"{one.page}: {one.line}"[:90])
def test_command_is_parsed(
    command: ConsoleLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real command line parses it to the end, without running it."""
    monkeypatch.chdir(tmp_path)
    for name, text in plugin_files().items():
        (tmp_path / name).write_text(text)
    with forgetting_plugin_file():
        parse(typer.main.get_command(app), "latte", command.arguments)


def parse(group: Any, name: str, arguments: list[str]) -> None:
    """Walk down the groups of commands; raise the error that the command line would print."""
    with group.make_context(name, list(arguments)) as context:
        if not hasattr(group, "resolve_command"):
            return
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if rest:
            name, command, below = group.resolve_command(context, rest)
            parse(command, str(name), below)


@pytest.mark.parametrize("wrong", ["run recipe.yaml --no-such-option", "plugins nwe x", "runn"])
def test_wrong_command_is_found(wrong: str) -> None:
    with pytest.raises(Exception, match=r"no-such-option|there is no command"):
        parse(typer.main.get_command(app), "latte", wrong.split())
