"""Places beside the photos to which *Finish* writes: refusals and requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import ImageReference, LatteError
from latte.review.outputs import OutputName, Outputs, photos_folder
from latte.review.session import Review
from tests.helpers.page_client import Page
from tests.helpers.reviews import made_up_review, served


class Writing:
    """Writes an empty file, and remembers what was written."""

    def __init__(self) -> None:
        self.written: list[tuple[Path, OutputName, Path]] = []

    def __call__(self, run: Path, name: OutputName, path: Path) -> None:
        self.written.append((run, name, path))
        path.touch()


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", ("cat", "dog", "bird"))


def test_places_are_beside_the_folder_of_the_photos(tmp_path: Path) -> None:
    paths = Outputs(tmp_path / "my photos", Writing()).paths()
    assert paths == {
        "sorted": tmp_path / "my photos-sorted",
        "labels": tmp_path / "my photos-labels.csv",
    }


def test_what_is_there_is_refused_even_a_link_to_nowhere(tmp_path: Path) -> None:
    writing = Writing()
    outputs = Outputs(tmp_path / "photos", writing)
    (tmp_path / "photos-sorted").mkdir()
    (tmp_path / "photos-labels.csv").symlink_to(tmp_path / "nothing")
    for name in outputs.paths():
        with pytest.raises(LatteError, match="something is here already"):
            outputs.write(tmp_path, name)
    assert writing.written == []


def test_folder_of_photos_is_that_of_their_ids(tmp_path: Path) -> None:
    def images(*paths: str) -> list[ImageReference]:
        return [ImageReference(path, tmp_path / "photos" / path) for path in paths]

    assert photos_folder(images("a.jpg")) == tmp_path / "photos"
    assert photos_folder(images("a/1.jpg", "a/2.jpg")) == tmp_path / "photos"
    elsewhere = ImageReference("b.jpg", tmp_path / "other" / "b.jpg")
    assert photos_folder([*images("a.jpg"), elsewhere]) is None
    in_archive = ImageReference("photos.tar/1.jpg", tmp_path / "photos.tar", span=(0, 10))
    assert photos_folder([in_archive]) is None
    assert photos_folder([]) is None


def test_a_request_writes_the_labels_of_the_newest_run_once(review: Review, tmp_path: Path) -> None:
    writing = Writing()
    with served(review, outputs=Outputs(tmp_path / "photos", writing)) as url:
        page = Page(url)
        place = page.get("state")["outputs"]["sorted"]
        assert Path(place) == tmp_path / "photos-sorted"
        status, reply = page.post("write", output="sorted")
        assert (status, reply["path"]) == (200, place)
        assert writing.written == [(review.run.folder.path, "sorted", tmp_path / "photos-sorted")]
        status, reply = page.post("write", output="sorted")
        assert (status, reply["error"]["what"]) == (409, "something is here already")
        assert page.post("write", output="/etc/passwd")[0] == 422
    assert len(writing.written) == 1


def test_without_one_folder_of_photos_there_is_no_place(review: Review) -> None:
    with served(review) as url:
        page = Page(url)
        assert page.get("state")["outputs"] == {}
        assert page.get("state")["commands"]["sort"].endswith("IMAGES --sort-into sorted")
        status, reply = page.post("write", output="labels")
    assert (status, reply["error"]["hint"]) == (409, None)
