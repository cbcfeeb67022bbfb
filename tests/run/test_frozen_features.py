"""Frozen features of a labelled folder, and methods of components on given features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_author.testing import StubClip
from latte_author.testing.fixtures import separated_start
from PIL import Image

from latte.api.output import make_progress
from latte.api.runs import frozen_method, frozen_method_of, labelled_features
from latte.interfaces import Context, LatteError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    for name, colour in (("red_box", "red"), ("sky", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            size = (20 + number, 20)
            Image.new("RGB", size, colour).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_folder_of_classes_becomes_features_and_labels(folder: Path) -> None:
    (folder / "sky" / "broken.png").write_bytes(b"no image")
    labelled = labelled_features(folder, StubClip(), make_progress(quiet=True))
    assert labelled.class_names == ("red box", "sky")
    assert labelled.labels.tolist() == [0, 0, 1, 1]
    assert labelled.image_features.shape == (4, 16)
    assert torch.allclose(labelled.image_features[2], labelled.image_features[3], atol=0.2)
    assert torch.equal(labelled.encode_names(["sky"])[0], labelled.class_features[1])


def test_folder_without_class_folders_is_refused(tmp_path: Path, folder: Path) -> None:
    for image in [*folder.glob("*/*.png")]:
        image.unlink()
    with pytest.raises(LatteError):
        labelled_features(folder, StubClip(), make_progress(quiet=True))


def test_method_labels_given_features_and_its_classifier_new_ones() -> None:
    start, context = separated_start(), Context(Path(), Path(), "cpu", 0, StubClip)
    result = frozen_method({}, "re-estimated").label(start, context)
    assert result.verdict is None
    assert torch.equal(result.labels, result.candidate_labels)
    reclassified = result.classifier.similarities(start.image_features).argmax(dim=1)
    assert torch.equal(reclassified, result.labels)
    assert bool(((result.confidences > 0) & (result.confidences <= 1)).all())


def test_unknown_component_and_recipe_with_steps_are_refused() -> None:
    with pytest.raises(LatteError, match="re-estimated"):
        frozen_method({}, "re-estimatd")
    with pytest.raises(LatteError, match="without steps"):
        frozen_method_of(Path(__file__).parents[2] / "recipes" / "demo.yaml")
