"""The files of `make dist` have valid metadata, and install into an empty environment."""

from __future__ import annotations

import json
import shutil
import tarfile
from email.parser import Parser
from pathlib import Path

import pytest
from latte_tiny.dataset import IMAGES
from packaging.metadata import Metadata

from latte import __version__
from tests.helpers.wheels import CORE, SOURCES, environment, install, metadata, run, text

pytestmark = pytest.mark.slow
FIRST = (CORE, "latte-tiny", "latte-selftaught")
"""Packages that the README's first commands need."""
FORMS = {"wheel": ("--only-binary=:all:",), "sdist": ("--no-binary=:all:", "--no-build-isolation")}


def sdist_files(name: str, dist: Path) -> dict[str, str]:
    """Return the names of the files in an sdist, below its folder, and the text of PKG-INFO."""
    (path,) = dist.glob(f"{name.replace('-', '_')}-*.tar.gz")
    with tarfile.open(path) as file:
        members = [member for member in file.getmembers() if member.isfile()]
        texts = {member.name.partition("/")[2]: "" for member in members}
        about = file.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert about is not None
        texts["PKG-INFO"] = about.read().decode()
    return texts


@pytest.mark.parametrize("name", SOURCES)
def test_metadata_of_wheel_and_sdist_are_valid_and_equal(
    name: str, dist: Path, wheels: dict[str, Path]
) -> None:
    in_wheel, in_sdist = text(wheels[name], "METADATA"), sdist_files(name, dist)["PKG-INFO"]
    for about in (in_wheel, in_sdist):
        assert Metadata.from_email(about, validate=True).name == name
    assert Parser().parsestr(in_wheel).items() == Parser().parsestr(in_sdist).items()


@pytest.mark.parametrize("name", SOURCES)
def test_sdist_has_only_files_of_its_package(name: str, dist: Path) -> None:
    module = "latte" if name == CORE else name.replace("-", "_")
    folders = {module, "recipes", "tests", f"{module}.egg-info"}
    files = sdist_files(name, dist)
    tops = {path.partition("/")[0] for path in files if "/" in path}
    assert module in tops
    assert tops <= folders
    assert {"LICENSE", "README.md", "pyproject.toml"} <= {*files}
    assert not [path for path in files if "__pycache__" in path or path.endswith(".so")]


def entry_points(python: Path, folder: Path) -> set[str]:
    """Return the plugins that an environment finds; fails if one is not installed there."""
    code = (
        "import importlib.metadata as m, latte; "
        "assert latte.__file__.startswith(__import__('sys').prefix), latte.__file__; "
        "print(*(p.name for p in m.entry_points(group='latte.plugins')))"
    )
    return {*run(python, "-c", code, cwd=folder).split()}


@pytest.mark.parametrize("form", FORMS)
def test_first_packages_install_and_adapt(
    form: str, dist: Path, wheels: dict[str, Path], tmp_path: Path
) -> None:
    python = environment(tmp_path / "environment")
    install(python, FIRST, "--find-links", dist, *FORMS[form])
    assert entry_points(python, tmp_path) == {"latte", "latte_tiny", "latte_selftaught"}
    latte = python.with_name("latte")
    settings = {"LATTE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    plugins = json.loads(run(latte, "doctor", "--json", cwd=tmp_path, **settings))["plugins"]
    versions = {name: metadata(wheels[name])["Version"] for name in FIRST}
    assert versions[CORE] == __version__
    assert {*plugins} == {f"{name} {version} ok" for name, version in versions.items()}
    (tmp_path / "photos").mkdir()
    for photo in sorted((IMAGES / "train").glob("*.jpg"))[:12]:
        shutil.copy(photo, tmp_path / "photos")
    command = ("adapt", "photos", "--classes", "accordion,airplane", "--model", "plugin:tiny")
    assert "report\t" in run(latte, *command, cwd=tmp_path, **settings)


def test_all_packages_install(dist: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "environment")
    install(python, [*SOURCES], "--find-links", dist, *FORMS["wheel"])
    listed = json.loads(run(python.with_name("latte"), "plugins", "--json", cwd=tmp_path))
    statuses = {plugin["distribution"]: plugin["status"] for plugin in listed}
    assert statuses == {name: "ok" for name in SOURCES if name != "latte-views"}
