"""The public interface equals the recorded one, which the changelog names."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import latte
import latte.api
from tests.helpers.api_surface import FILE, mark, surface

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_public_interface_equals_the_recorded_one() -> None:
    assert surface() == FILE.read_text(encoding="utf-8"), (
        "the public interface has changed; to record it: python -m tests.helpers.api_surface"
    )


def test_changelog_names_the_recorded_interface() -> None:
    expected = f"(interface {mark(surface())})"
    assert expected in CHANGELOG, f"say in CHANGELOG.md what changed for plugins, with {expected}"


def test_importing_latte_api_does_not_load_torch() -> None:
    program = "import sys, latte.api; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_former_place_of_the_contracts_names_the_package_that_has_them() -> None:
    with pytest.raises(ImportError, match=r"latte_author\.testing: pip install latte-author"):
        importlib.import_module("latte.testing")


def test_misspelt_public_name_is_an_error_also_for_type_checkers() -> None:
    """An `ignore` that is not needed is an error of mypy too, so that it would report one here."""
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        latte.lod  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'Losss'"):
        latte.api.Losss  # type: ignore[attr-defined]  # noqa: B018


def test_public_names_are_there() -> None:
    assert all(getattr(latte, name) for name in latte.__all__)
    assert latte.Model is latte.load.__globals__["Model"]
