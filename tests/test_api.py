"""What plugins build on does not change unnoticed, and is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import latte.api
from tests.helpers.api_surface import FILE, mark, surface

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_interface_changes_only_on_purpose() -> None:
    assert surface() == FILE.read_text(encoding="utf-8"), (
        "the public interface has changed: if that is wanted, python -m tests.helpers.api_surface"
    )


def test_the_changelog_names_the_interface_as_it_is() -> None:
    expected = f"(interface {mark(surface())})"
    assert expected in CHANGELOG, f"say in CHANGELOG.md what changed for plugins, with {expected}"


def test_everything_public_has_a_docstring() -> None:
    silent = [
        name
        for name in latte.api.__all__
        if inspect.isclass(value := getattr(latte.api, name)) and not inspect.getdoc(value)
    ]
    assert not silent


def test_importing_it_is_quick() -> None:
    program = "import sys, latte.api; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
