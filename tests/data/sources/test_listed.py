"""Paths of a list stay below its root: `..` and links that lead out of it are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.data.sources.listed import ListedPaths
from latte.interfaces import LatteError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with an image, a folder, and a link to a folder that is outside."""
    for folder in ("photos/cats", "elsewhere/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for image in ("photos/1.jpg", "photos/cats/2.jpg", "secret.jpg", "elsewhere/3.jpg"):
        (tmp_path / image).touch()
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    return tmp_path / "photos"


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    "entry", ["../secret.jpg", "cats/../../secret.jpg", "cats/../1.jpg", "link/../3.jpg", "cats/.."]
)
def test_entry_with_two_dots_is_refused(entry: str, absolute: bool, root: Path) -> None:
    paths = ListedPaths(root, absolute=absolute)
    for name in [entry, f"{root}/{entry}"] if absolute else [entry]:
        with pytest.raises(LatteError, match=r"goes up with \.\."):
            paths.reference(name, "list.csv:2")
    assert paths.reference("cats/2.jpg", "list.csv:3").id == "cats/2.jpg"


def test_path_with_two_dots_is_resolved_before_it_counts_as_inside(root: Path) -> None:
    paths = ListedPaths(root, absolute=True)
    assert paths.stays_inside(root / "cats" / ".." / "1.jpg")
    assert not paths.stays_inside(root / "cats" / ".." / ".." / "secret.jpg")
    assert not paths.stays_inside(root / "link" / ".." / "3.jpg")  # the folder `elsewhere`
