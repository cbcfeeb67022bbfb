"""New plugins of all kinds pass their own tests and mypy."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.plugin_kit.names import plugin_names
from latte.plugin_kit.write import write_plugin
from latte.registry.spec import KINDS
from tests.helpers.plugin_packages import run_python, write_package

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a new plugin of each kind is installed, with its tests."""
    site, written = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("written")
    for kind in KINDS:
        names = plugin_names(f"latte-own-{kind}")
        package = written / names.distribution
        write_plugin(names, kind, package)
        files = {
            path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
            for path in package.rglob("*.py")
        }
        write_package(site, names.distribution, {names.module: names.module}, files)
    assert run_python(site, "build_model.py").returncode == 0
    return site


def test_new_plugins_pass_their_tests(site: Path) -> None:
    tested = run_python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert tested.returncode == 0, tested.stdout


@pytest.mark.slow
def test_new_plugins_pass_mypy(site: Path) -> None:
    checked = run_python(site, "-m", "mypy", "--strict", ".")
    assert checked.returncode == 0, checked.stdout
