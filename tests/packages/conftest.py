"""The sdists and wheels that the tests of this folder read and install."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.wheels import SOURCES, build


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist and the wheel of each package.

    `LATTE_DIST` names a folder that exists already: `make release-check` tests the files in dist/.
    """
    if "LATTE_DIST" in os.environ:
        return Path(os.environ["LATTE_DIST"]).absolute()
    folder = tmp_path_factory.mktemp("dist")
    for source in SOURCES.values():
        build(source, folder)
    return folder


@pytest.fixture(scope="session")
def wheels(dist: Path) -> dict[str, Path]:
    """Return the wheel of each package by its name."""
    return {name: next(dist.glob(f"{name.replace('-', '_')}-*.whl")) for name in SOURCES}
