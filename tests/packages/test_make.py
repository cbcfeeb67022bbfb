"""`make demo` installs what its recipe needs, and `make install` the rest."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from latte.cli.main import run_command_line
from latte.registry.registry import load_registry
from tests.helpers.wheels import CORE, ROOT, SOURCES

DEMO = "latte-tiny"


def installed_by(target: str) -> list[list[str]]:
    """Return the arguments of each `pip install` of a target, without running it."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    command = [make, "--dry-run", "--always-make", target]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line.partition(" install ")[2] for line in shown.splitlines() if "pip install" in line]
    return [[word for word in shlex.split(line) if not word.startswith("-")] for line in lines]


def test_demo_installs_the_core_and_the_plugin_of_its_recipe() -> None:
    assert installed_by("demo") == [[".", f"plugins/{DEMO}"]]


def test_install_adds_the_tools_and_all_plugins() -> None:
    first, second = installed_by("install")
    assert first == [".", f"plugins/{DEMO}"]
    assert {*second} == {".[dev]", *(f"plugins/{name}" for name in SOURCES if name != CORE)}


def test_recipe_of_the_demo_needs_no_other_plugin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LATTE_PLUGINS", DEMO)
    load_registry.cache_clear()
    try:
        code = run_command_line(["check", str(ROOT / "recipes/demo.yaml")])
    finally:
        load_registry.cache_clear()
    assert code == 0, capsys.readouterr().err
