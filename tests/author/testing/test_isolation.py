"""The contract finds plugins that import torch when they are listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from latte_author.testing.component import listing_imports_torch

from tests.helpers.plugin_packages import run_python, write_package

pytestmark = pytest.mark.thorough

HOOK = """
from latte.api import ComponentSpec, hookimpl

@hookimpl
def latte_components():
    return [ComponentSpec("loss", "heavy", "{name}.losses:Heavy", "heavy")]
"""


@pytest.mark.parametrize(
    ("package", "hook", "slow"),
    [("latte_slim", "", False), ("latte_fat", "import torch\n", True)],
)
def test_hook_that_imports_torch_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, hook: str, slow: bool
) -> None:
    files = {
        f"{package}/__init__.py": hook + HOOK.format(name=package),
        f"{package}/losses.py": "import torch\n",
        # Found before the real one, which takes seconds to import.
        "torch.py": "",
    }
    distribution = package.replace("_", "-")
    write_package(tmp_path, distribution, {package: package}, files)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert listing_imports_torch(distribution) == slow


def test_latte_does_not_need_pytest(tmp_path: Path) -> None:
    program = "import sys, latte.api, latte.cli.main; sys.exit('pytest' in sys.modules)"
    assert run_python(tmp_path, "-c", program).returncode == 0
