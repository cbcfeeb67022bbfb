"""An unexpected error names the package whose code raised it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from latte.cli import errors
from latte.cli.errors import print_unexpected


def failing(module: str, call: Callable[[], Any] | None = None) -> Callable[[], Any]:
    """Return a function of `module` that calls `call`, or raises an error."""
    code = "def fails():\n    return call() if call else 1 / 0\n"
    names: dict[str, Any] = {"__name__": module, "call": call}
    exec(code, names)
    return names["fails"]  # type: ignore[no-any-return]


PLUGIN, ENGINE = "latte_mine.component", "latte.train.step"


@pytest.mark.parametrize(
    ("fails", "culprit"),
    [
        (failing(ENGINE, failing(PLUGIN)), "the plugin latte-mine 0.1.0"),
        (failing(ENGINE, failing(PLUGIN, failing("torch"))), "the plugin latte-mine 0.1.0"),
        (
            failing(PLUGIN, failing("latte.toolkit.neighbours")),
            "the plugin latte-mine 0.1.0",
        ),
        (failing(PLUGIN, failing(ENGINE)), "latte"),
        (failing(ENGINE, failing("torch")), "latte"),
        (failing("latte_other"), "latte"),
    ],
    ids=[
        "plugin",
        "torch-for-plugin",
        "toolkit-for-plugin",
        "engine-for-plugin",
        "torch-for-engine",
        "not-a-plugin",
    ],
)
def test_bug_is_attributed_to_the_code_that_raised_it(
    fails: Callable[[], Any],
    culprit: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    packages = {"latte_mine": "latte-mine 0.1.0"}
    monkeypatch.setattr(errors, "plugin_packages", lambda: packages)
    with pytest.raises(ZeroDivisionError) as raised:
        fails()
    print_unexpected(raised.value)
    message = capsys.readouterr().err
    assert "ZeroDivisionError" in message
    line = f"error: this is a bug in {culprit}; please report it with the lines above."
    assert " ".join(message.split()).endswith(line)


def test_plugin_packages_names_installed_plugins_without_latte() -> None:
    packages = errors.plugin_packages()
    assert packages["latte_tiny"].startswith("latte-tiny ")
    assert not [name for name in packages if name.partition(".")[0] == "latte"]
