"""The contract finds plugins that import torch when they are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.testing.component import imports_torch
from tests.helpers.plugin_packages import run_python, write_package

pytestmark = pytest.mark.thorough

HOOK = """
from latte.api import ComponentSpec, hookimpl

@hookimpl
def latte_components():
    return [
        ComponentSpec("loss", "a", "{name}.losses:A", "light", options="{name}.light:Light"),
        ComponentSpec("loss", "b", "{name}.losses:B", "heavy", options="{name}.heavy:Heavy"),
    ]
"""
OPTIONS = "from latte.api import Options\n\nclass {name}(Options):\n    pass\n"


@pytest.mark.parametrize(
    ("package", "hook", "heavy", "culprit"),
    [
        ("latte_slim", "", "", ""),
        ("latte_stout", "", "import torch\n", "latte_stout.heavy:Heavy"),
        ("latte_fat", "import torch\n", "", "the plugin's module"),
    ],
)
def test_module_that_imports_torch_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    hook: str,
    heavy: str,
    culprit: str,
) -> None:
    files = {
        f"{package}/__init__.py": hook + HOOK.format(name=package),
        f"{package}/light.py": OPTIONS.format(name="Light"),
        f"{package}/heavy.py": heavy + OPTIONS.format(name="Heavy"),
        # Found before the real one, which takes seconds to import.
        "torch.py": "",
    }
    distribution = package.replace("_", "-")
    write_package(tmp_path, distribution, {package: package}, files)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert imports_torch(distribution) == culprit


def test_a_plugin_that_cannot_be_listed_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"latte_half/__init__.py": HOOK.format(name="latte_half")}
    write_package(tmp_path, "latte-half", {"latte_half": "latte_half"}, files)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AssertionError, match=r"No module named 'latte_half\.light'"):
        imports_torch("latte-half")


def test_latte_does_not_need_pytest(tmp_path: Path) -> None:
    program = "import sys, latte.api, latte.cli.main; sys.exit('pytest' in sys.modules)"
    assert run_python(tmp_path, "-c", program).returncode == 0
