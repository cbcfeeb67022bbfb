"""New plugins of all kinds pass mypy; `test_published` runs their own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from latte_author.kit.names import plugin_names
from latte_author.kit.write import write_plugin

from latte.registry.spec import KINDS
from tests.helpers.plugin_packages import run_python, write_package


@pytest.mark.slow
def test_new_plugins_pass_mypy(tmp_path: Path) -> None:
    site, written = tmp_path / "site", tmp_path / "written"
    for kind in KINDS:
        names = plugin_names(f"latte-own-{kind}")
        package = written / names.distribution
        write_plugin(names, kind, package)
        files = {
            path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
            for path in package.rglob("*.py")
        }
        write_package(site, names.distribution, {names.module: names.module}, files)
    checked = run_python(site, "-m", "mypy", "--strict", ".")
    assert checked.returncode == 0, checked.stdout
