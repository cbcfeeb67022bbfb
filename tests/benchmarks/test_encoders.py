"""The benchmark of encoders compares the same folders with and without each encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_author.testing import StubEncoder
from latte_benchmarks.folder_cells import CELL, LabelledSet, draw
from latte_tiny.dataset import IMAGES
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks import encoded_sets
from benchmarks.encoded_sets import ALONE, file_pairs, joined
from benchmarks.encoders import fitted, gains, with_answers
from benchmarks.folder_sets import read_plans
from latte.interfaces import LatteError
from tests.benchmarks.test_answers import labelled_set
from tests.helpers.labelled_sets import split_of

LABELS = torch.arange(60) % 3


def encoder(noise: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.eye(6)[LABELS] + noise * torch.randn(60, 6, generator=generator), dim=1)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    tensors = {
        f"{part}.{name}": encoder(noise, seed + place)
        for place, part in enumerate(("training", "evaluation"))
        for name, noise, seed in (("clear", 0.1, 0), ("blind", 20.0, 2))
    }
    path = tmp_path / "toy.safetensors"
    save_file(tensors, path)
    return path


def toy() -> LabelledSet:
    return replace(labelled_set(), logit_scale=10.0)


def test_blind_encoder_changes_nothing_and_clear_encoder_helps(features: Path) -> None:
    encoded = joined(toy(), file_pairs(features), str(features))
    folder = draw(encoded.labelled, CELL["all names"], 0, [encoded.labelled])
    gain = gains(encoded, with_answers(folder, 1, seed=0))
    assert gain["blind"].weight == 0
    assert (gain["blind"].own, gain["blind"].unseen) == (gain[ALONE].own, gain[ALONE].unseen)
    assert gain["clear"].weight > 0
    assert gain["clear"].unseen > gain[ALONE].unseen


def test_features_of_encoders_stay_with_their_images(features: Path) -> None:
    encoded = joined(toy(), file_pairs(features), str(features))
    folder = draw(encoded.labelled, CELL["50 images"], 0, [encoded.labelled])
    nearest = encoded.parts(folder.own.features)["clear"].argmax(dim=1)
    assert torch.equal(nearest, folder.own.labels)
    assert len(fitted(encoded, folder, "clear").unseen) == len(folder.test)


def test_encoder_without_a_feature_for_each_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_file({f"{part}.short": torch.eye(5) for part in ("training", "evaluation")}, path)
    with pytest.raises(LatteError, match="short has not one feature for each image"):
        joined(toy(), file_pairs(path), str(path))


@pytest.mark.thorough
def test_sets_of_images_are_encoded_by_the_clip_and_by_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoded_sets, "load_encoder", lambda *_: StubEncoder())
    plan = f"birds={split_of(tmp_path, 'birds', (0, 1))}:{IMAGES}"
    sets = encoded_sets.encoded_sets(read_plans([plan], [], 3), ["stub"], "plugin:tiny")
    (birds,) = sets
    features_of_parts = birds.parts(birds.labelled.train.features)
    assert features_of_parts["stub"].shape == (6, StubEncoder().embedding_width)
    zero_shot = birds.labelled.train.features @ birds.labelled.texts.T
    assert torch.allclose(
        zero_shot, features_of_parts[ALONE] @ birds.labelled.texts[:, : birds.widths[ALONE]].T
    )
