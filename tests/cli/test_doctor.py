"""`latte doctor` reports the installation without secrets."""

import json
import re
from pathlib import Path

import pytest

from latte import __version__
from latte.cli.doctor import doctor


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "new" / "cache"))
    return tmp_path


def test_doctor_json_has_versions_devices_cache_and_plugins(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(json=True)
    findings = json.loads(capsys.readouterr().out)
    assert findings["latte"] == __version__
    assert findings["torch"][0].isdigit()
    assert findings["devices"][-1] == "cpu"
    assert re.match(r"[\d,]+ per second; .*latte-views", findings["views"])
    assert findings["cache"].startswith(f"{cache / 'new' / 'cache'}, writable, ")
    assert f"latte-clip {__version__} ok" in findings["plugins"]


def test_doctor_table_has_at_most_80_columns(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["latte", __version__] for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATTE_API_KEY", "abc"),
        ("LATTE_TOKEN", "abc"),
        ("LATTE_SERVER", "https://someone:abc@example.org/"),
        ("LATTE_OTHER", "hf_abcdefghijklmnop"),
    ],
)
def test_doctor_hides_secrets(
    name: str,
    value: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("LATTE_DATA", "/data/images")
    doctor(json=True)
    environment = json.loads(capsys.readouterr().out)["environment"]
    assert environment[name] == "(hidden)"
    assert environment["LATTE_DATA"] == "/data/images"


def test_doctor_works_with_a_wrong_environment(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LATTE_PLUGINS", "latte-that-nobody-has")
    doctor(json=True)
    [line] = json.loads(capsys.readouterr().out)["plugins"]
    assert 'no installed plugin is called "latte-that-nobody-has"' in line
