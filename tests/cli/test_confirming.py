"""Images go to a server only after a person's consent."""

from __future__ import annotations

import io
import sys

import pytest

from latte.cli.confirming import confirm_sending
from latte.interfaces import LatteError
from latte.new.asked_model import AskedModel

ASKED = AskedModel("chooser", "https://example.org/v1", 40)


class Terminal(io.StringIO):
    """Text stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Terminal:
    """Put a terminal in place of the standard streams, and return what it prints on."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def test_consent_at_a_terminal_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = at_terminal(monkeypatch, "y\n")
    confirm_sending(ASKED, yes=False)
    assert shown.getvalue().startswith(
        "chooser gets at most 40 images, and the class names, to example.org\nSend them?"
    )


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_no_consent_at_a_terminal_stops(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    at_terminal(monkeypatch, typed)
    with pytest.raises(LatteError, match="nothing was sent"):
        confirm_sending(ASKED, yes=False)


def test_a_script_without_consent_stops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LatteError, match="at most 40 images") as caught:
        confirm_sending(ASKED, yes=False)
    assert caught.value.hint == "to send them: --yes"
    assert "".join(capsys.readouterr()) == ""


def test_a_script_with_consent_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    confirm_sending(ASKED, yes=True)
    assert "at most 40 images" in capsys.readouterr().err
