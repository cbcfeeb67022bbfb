"""`latte plugins` lists, checks, disables and writes plugins."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command_line import LatteProcess

pytestmark = pytest.mark.thorough

NOISE = "bye\n"
"""Text that a plugin prints while it is imported; it must not reach stdout."""


def rows(latte_in_zoo: LatteProcess) -> dict[str, dict[str, Any]]:
    listed = latte_in_zoo("plugins", "--json")
    assert (listed.returncode, listed.stderr) == (0, NOISE)
    return {plugin["distribution"]: plugin for plugin in json.loads(listed.stdout)}


def test_plugins_json_has_states_versions_components_errors_and_tracebacks(
    latte_in_zoo: LatteProcess,
) -> None:
    plugin_rows = rows(latte_in_zoo)
    states = {name: plugin["status"] for name, plugin in plugin_rows.items()}
    assert states["latte-clip"] == states["latte-good"] == "ok"
    assert states["latte-exits"] == "broken"
    assert states["latte-future"] == "incompatible"
    assert plugin_rows["latte-good"]["version"] == "1.2"
    assert plugin_rows["latte-good"]["specs"][0]["name"] == "hinge"
    assert plugin_rows["latte-exits"]["error"] == "SystemExit: 3"
    assert "plugin.py" in plugin_rows["latte-unimportable"]["detail"]


def test_plugins_table_fits_80_columns_and_shows_errors(latte_in_zoo: LatteProcess) -> None:
    listed = latte_in_zoo("plugins")
    assert (listed.returncode, listed.stderr) == (0, NOISE)
    lines = listed.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(listed.stdout.split())
    assert "latte-good 1.2 ok loss: hinge, fussy, twin model: folder, gone" in text
    assert "latte-exits 1.0 broken SystemExit: 3" in text
    assert "latte plugins --json" in lines[-1]


def test_a_broken_row_is_red_on_a_terminal(
    zoo: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latte.cli.plugins import print_table
    from latte.registry.discovery import discover_plugins

    monkeypatch.syspath_prepend(str(zoo))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(discover_plugins())
    lines = capsys.readouterr().out.splitlines()
    red = "\x1b[31m"
    assert red in next(line for line in lines if "latte-exits" in line)
    assert red not in next(line for line in lines if "latte-good" in line)


def test_a_disabled_plugin_is_left_out_until_it_is_enabled(latte_of_a_user: LatteProcess) -> None:
    assert latte_of_a_user("plugins", "disable", "Latte_Good").returncode == 0
    plugin = rows(latte_of_a_user)["latte-good"]
    assert (plugin["status"], plugin["error"]) == (
        "disabled",
        "use it again: latte plugins enable latte-good",
    )
    wrong = latte_of_a_user("plugins", "enable", "latte-godo")
    assert wrong.returncode == 2
    assert 'Did you mean "latte-good"?' in wrong.stderr
    assert latte_of_a_user("plugins", "enable", "latte-good").returncode == 0
    assert rows(latte_of_a_user)["latte-good"]["status"] == "ok"


def test_a_damaged_list_of_disabled_plugins_is_an_error(
    latte_of_a_user: LatteProcess, tmp_path: Path
) -> None:
    (tmp_path / "plugins.json").write_text("[]")
    listed = latte_of_a_user("plugins")
    assert listed.returncode == 2
    assert "plugins.json" in listed.stderr


def test_latte_itself_cannot_be_disabled(latte_in_zoo: LatteProcess) -> None:
    refused = latte_in_zoo("plugins", "disable", "latte-clip")
    assert refused.returncode == 2
    assert "cannot be disabled" in refused.stderr


def test_new_plugin_needs_a_known_kind_and_a_unique_name(
    latte_in_zoo: LatteProcess, tmp_path: Path
) -> None:
    typo = latte_in_zoo("plugins", "new", "latte-x", "--kind", "gatte")
    assert 'Did you mean "gate"?' in typo.stderr
    rival = latte_in_zoo("plugins", "new", "latte-contrastive", "--kind", "loss")
    assert "latte-my-contrastive" in rival.stderr
    folder = tmp_path / "out"
    outcome = latte_in_zoo("plugins", "new", "latte-x", "--kind", "gate", "--output", str(folder))
    assert outcome.returncode == 0
    assert f"python -m pytest {folder}" in outcome.stdout


def test_check_prints_every_failed_check(latte_in_zoo: LatteProcess) -> None:
    checked = latte_in_zoo("plugins", "check", "latte-good", "--no-contract")
    assert checked.returncode == 2
    lines = checked.stdout.splitlines()
    assert "ok       latte-good 1.2: is found, and made for this plugin interface" in lines
    assert "FAILED   latte-good: names the oldest latte-clip that it needs" in lines
    assert any(line.startswith("ok       loss hinge") for line in lines)
    assert any(line.startswith("FAILED   model gone") for line in lines)
    future = latte_in_zoo("plugins", "check", "latte-future", "--no-contract")
    assert "incompatible" in future.stdout


def test_check_shows_progress_and_failures_of_tests(
    latte_in_zoo: LatteProcess, tmp_path: Path
) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_one():\n    pass\n\ndef test_two():\n    assert 1 == 2\n"
    )
    checked = latte_in_zoo("plugins", "check", "latte-good", "--tests", str(tmp_path))
    assert f"{tmp_path}: 2 tests in " in checked.stderr
    assert f"FAILED   latte-good 1.2: passes the tests in {tmp_path}" in checked.stdout
    assert "assert 1 == 2" in checked.stdout
