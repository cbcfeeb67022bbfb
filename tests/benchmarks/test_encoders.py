"""The benchmark of encoders compares the same folders with and without each encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_benchmarks.folder_cells import CELL, LabelledSet, draw
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.encoders import ALONE, fitted, gains, joined, with_answers
from latte.interfaces import LatteError
from tests.benchmarks.test_answers import labelled_set

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
    encoded = joined(toy(), features)
    folder = draw(encoded.labelled, CELL["all names"], 0, [encoded.labelled])
    found = gains(encoded, with_answers(folder, 1, seed=0))
    assert found["blind"].weight == 0
    assert (found["blind"].own, found["blind"].unseen) == (found[ALONE].own, found[ALONE].unseen)
    assert found["clear"].weight > 0
    assert found["clear"].unseen > found[ALONE].unseen


def test_features_of_encoders_stay_with_their_images(features: Path) -> None:
    encoded = joined(toy(), features)
    folder = draw(encoded.labelled, CELL["50 images"], 0, [encoded.labelled])
    nearest = encoded.parts(folder.own.features)["clear"].argmax(dim=1)
    assert torch.equal(nearest, folder.own.labels)
    assert len(fitted(encoded, folder, "clear").unseen) == len(folder.test)


def test_encoder_without_a_feature_for_each_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_file({f"{part}.short": torch.eye(5) for part in ("training", "evaluation")}, path)
    with pytest.raises(LatteError, match="short has not one feature for each image"):
        joined(toy(), path)
