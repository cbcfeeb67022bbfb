"""Plugins add commands; broken ones affect no other command."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from latte.cli import main, plugin_commands
from latte.registry import discovery
from latte.registry.spec import ENTRY_POINT_GROUP
from tests.helpers.command_line import LatteProcess

pytestmark = pytest.mark.thorough


def test_a_plugin_adds_a_command_with_options(latte_in_zoo: LatteProcess) -> None:
    shouted = latte_in_zoo("shout", "hallo", "--times", "2")
    assert (shouted.returncode, shouted.stdout) == (0, "HALLOHALLO\n")
    assert "Print a text in capitals." in latte_in_zoo("shout", "--help").stdout


def test_a_plugin_adds_a_command_with_commands(latte_in_zoo: LatteProcess) -> None:
    assert latte_in_zoo("words", "count", "a b c").stdout == "3\n"


def test_a_plugin_adds_a_command_to_the_group_of_plugins(latte_in_zoo: LatteProcess) -> None:
    assert latte_in_zoo("plugins", "shout", "hallo").stdout == "HALLO\n"
    core, _, added = latte_in_zoo("plugins", "--help").stdout.partition("Commands of plugins:")
    assert "disable" in core
    assert "says plugins shout" in added
    assert "disable" not in added, "a plugin replaces no command of latte"
    assert latte_in_zoo("shout", "hallo").stdout == "HALLO\n", "the other name is another command"


def test_help_lists_plugin_commands_separately_without_importing_them(
    latte_in_zoo: LatteProcess,
) -> None:
    shown = latte_in_zoo("--help")
    assert shown.returncode == 0
    core_commands, _, added = shown.stdout.partition("Commands of plugins:")
    assert "says shout" in added
    assert "says gone" in added
    assert "says run" not in added
    assert "says" not in core_commands


def test_a_plugin_cannot_replace_a_command_of_latte(latte_in_zoo: LatteProcess) -> None:
    assert "Run a recipe" in latte_in_zoo("run", "--help").stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("both", '"latte both" is provided by latte-echoes 1.0 and latte-talks 1.0'),
        ("gone", '"latte gone" of latte-talks 1.0 cannot be used: ModuleNotFoundError'),
        ("shuot", 'Did you mean "shout"?'),
    ],
)
def test_an_unusable_command_reports_the_reason(
    latte_in_zoo: LatteProcess, command: str, words: str
) -> None:
    called = latte_in_zoo(command)
    assert called.returncode == 2
    assert words in called.stderr
    assert "Traceback" not in called.stderr


def test_help_works_with_a_wrong_list_of_plugins(latte_in_zoo: LatteProcess) -> None:
    assert latte_in_zoo("--help", plugins="no-such-plugin").returncode == 0


@pytest.fixture
def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Run a command in this process, which must end with code 2; returns the error."""
    uncached = plugin_commands._declared_commands.__wrapped__
    monkeypatch.setattr(plugin_commands, "_declared_commands", uncached)

    def call(command: str) -> str:
        assert main.run_command_line([*command.split(), "--any", "arguments"]) == 2
        return capsys.readouterr().err

    return call


COMMANDS = {
    **dict.fromkeys(("compare", "datasets", "field", "reproduce", "sweep"), "latte-benchmarks"),
    "distil": "latte-student",
    **dict.fromkeys(("plugins new", "plugins check"), "latte-author"),
}


@pytest.mark.parametrize(("command", "package"), COMMANDS.items())
def test_command_of_a_plugin_that_is_not_installed_names_the_package(
    command: str, package: str, called: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_points_of_latte = [
        entry_point
        for entry_point in entry_points(group=ENTRY_POINT_GROUP)
        if entry_point.name == "latte"
    ]
    monkeypatch.setattr(discovery, "entry_points", lambda group: entry_points_of_latte)
    assert called(command) == (
        f'error: "latte {command}" is a command of the plugin {package}, which is not installed\n'
        f"  pip install {package}\n"
    )


def test_command_of_a_plugin_that_is_left_out_gives_the_reason(
    called: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_PLUGINS", "")
    outcome = called("sweep")
    assert '"latte sweep" needs latte-benchmarks' in outcome
    assert outcome.endswith("which is blocked\n  left out by LATTE_PLUGINS\n")
