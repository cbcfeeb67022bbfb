import json
from typing import Any

import pytest

from tests.cli.conftest import Latte

NOISE = "bye\n"
"""What a plugin of the zoo prints while it is imported: never on stdout."""


def rows(latte_in_zoo: Latte) -> dict[str, dict[str, Any]]:
    listed = latte_in_zoo("plugins", "--json")
    assert (listed.returncode, listed.stderr) == (0, NOISE)
    return {plugin["distribution"]: plugin for plugin in json.loads(listed.stdout)}


def test_every_installed_plugin_is_listed_with_its_state(latte_in_zoo: Latte) -> None:
    states = {name: plugin["status"] for name, plugin in rows(latte_in_zoo).items()}
    assert states["latte-clip"] == states["latte-good"] == "ok"
    assert states["latte-exits"] == "broken"
    assert states["latte-future"] == "incompatible"
    assert states["latte-twin-a"] == states["latte-twin-b"] == "broken"


def test_json_holds_versions_components_errors_and_tracebacks(latte_in_zoo: Latte) -> None:
    found = rows(latte_in_zoo)
    assert found["latte-good"]["version"] == "1.2"
    assert found["latte-good"]["specs"][0]["name"] == "hinge"
    assert found["latte-exits"]["error"] == "SystemExit: 3"
    assert "plugin.py" in found["latte-unimportable"]["detail"]


def test_the_table_fits_80_columns_and_says_what_is_wrong(latte_in_zoo: Latte) -> None:
    listed = latte_in_zoo("plugins")
    assert (listed.returncode, listed.stderr) == (0, NOISE)
    lines = listed.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(listed.stdout.split())
    assert "latte-good 1.2 ok loss: hinge, fussy, twin model: folder, gone" in text
    assert "latte-exits 1.0 broken SystemExit: 3" in text
    assert "latte plugins --json" in lines[-1]


def test_plugins_that_are_left_out_are_listed_too(latte_in_zoo: Latte) -> None:
    text = " ".join(latte_in_zoo("plugins", plugins="").stdout.split())
    assert "latte-good 1.2 blocked left out by LATTE_PLUGINS" in text


def test_a_broken_row_is_red_on_a_terminal(
    zoo: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latte.cli.plugins import plugins

    monkeypatch.syspath_prepend(str(zoo))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plugins()
    lines = capsys.readouterr().out.splitlines()
    red = "\x1b[31m"
    assert red in next(line for line in lines if "latte-exits" in line)
    assert red not in next(line for line in lines if "latte-good" in line)
