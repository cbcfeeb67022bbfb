"""The engine's training step reproduces the golden trace, on a backbone that looks features up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.backbone.encode import ClassTexts
from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.interfaces import Backbone, Batch, NoOptions, PixelFormat, TrainableGroup
from latte.toolkit.descriptions import (
    ClassDescription,
    ClassOptions,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)
from latte.train.encoding import live_images, live_texts
from latte.train.features import StepInputs
from latte.train.learner import Learner
from latte.train.step import training_step
from tests.helpers.training_driver import CONTEXT, relative_error, training_start

GOLDEN = Path(__file__).parent / "golden" / "latteclip_steps.safetensors"
TOLERANCE = 1e-5
CLASSES, BATCH, STEPS = 6, 24, 3


class Lookup(Backbone):
    """Image features by number (the `pixels` are row numbers) and text features by sentence."""

    pixel_format = PixelFormat(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    fingerprint = "lookup"

    def __init__(self, images: Tensor, texts: Mapping[str, int], table: Tensor) -> None:
        self.images = nn.Parameter(images.clone())
        self.table = nn.Parameter(table.clone())
        self.texts = texts
        self.embedding_width = images.shape[1]

    def encode_images(self, pixels: Tensor) -> Tensor:
        return normalize(self.images[pixels], dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return normalize(self.table[torch.tensor([self.texts[text] for text in texts])], dim=1)

    @property
    def logit_scale(self) -> Tensor:
        return torch.tensor(100.0)

    def clamp_logit_scale(self) -> None: ...

    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        return {"images": self.images, "table": self.table}

    def fork(self) -> Backbone:
        raise AssertionError

    def state(self) -> dict[str, Tensor]:
        raise AssertionError

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        raise AssertionError

    def save(self, folder: Path) -> None:
        raise AssertionError


@pytest.fixture
def recorded() -> dict[str, Tensor]:
    return load_file(GOLDEN)


def test_engine_reproduces_the_golden_trace(recorded: dict[str, Tensor]) -> None:
    samples = STEPS * BATCH
    names = [f"class {index}" for index in range(CLASSES)]
    sentences = [
        *(f"a {name}" for name in names),
        *(f"image text {row}" for row in range(samples)),
        *(f"group text {row}" for row in range(samples)),
    ]
    table = torch.cat([recorded[f"{kind}_text_features"] for kind in ("class", "image", "group")])
    backbone = Lookup(
        recorded["image_features"], {text: row for row, text in enumerate(sentences)}, table
    )
    start = training_start(
        recorded["class_text_features"],
        recorded["image_features"],
        zero_shot_labels=recorded["frozen_labels"],
    )
    aggregator = MomentumPrototypes(MomentumOptions(margins="epoch_start"), CONTEXT)
    aggregator.start(start)
    labelers = [CurrentLabeler(StreamOptions(), CONTEXT), FrozenLabeler(StreamOptions(), CONTEXT)]
    for labeler in labelers:
        labeler.start(start)
    parameters = backbone.train_only("all")
    learner = Learner(
        name="main",
        backbone=backbone,
        images=live_images(backbone, "fp32", trains=True),
        texts=live_texts(backbone, "fp32", trains=True),
        parameters=parameters,
        aggregator=aggregator,
        loss=ContrastiveLoss(NoOptions(), CONTEXT),
        optimizer=torch.optim.SGD(parameters.values(), lr=0.0),
        peak_learning_rate=0.0,
        gradient_clip=None,
    )
    class_texts = ClassTexts(tuple((sentence,) for sentence in sentences[:CLASSES]))
    inputs = StepInputs(
        labelers, _bank(recorded, names, samples), ["class", "image", "group"], class_texts, 0
    )
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH)
        outcome = training_step(learner, inputs, Batch("main", rows, 0, step), rows)
        assert relative_error(outcome.loss, recorded["loss"][step]) < TOLERANCE
        assert backbone.images.grad is not None
        assert backbone.table.grad is not None
        images = backbone.images.grad[rows]
        assert relative_error(images, recorded["grad_image_features"][step]) < TOLERANCE
        assert relative_error(backbone.table.grad, recorded["grad_text_table"][step]) < TOLERANCE
        prototypes = aggregator.classifier().weights
        assert relative_error(prototypes, recorded["prototypes"][step + 1]) < TOLERANCE


def _bank(recorded: dict[str, Tensor], names: list[str], samples: int) -> DescriptionBank:
    descriptions = {
        "class": ClassDescription(ClassOptions(template="a {class}"), CONTEXT),
        "image": ImageDescription(ImageOptions(), CONTEXT),
        "group": GroupDescription(GroupOptions(size=2, redraw=False), CONTEXT),
    }
    columns = {
        "image": Column([(f"image text {row}",) for row in range(samples)]),
        "group": Column(
            [(f"group text {row}",) for row in range(samples)], torch.zeros(samples, 2).long()
        ),
    }
    ids = [str(row) for row in range(samples)]
    return DescriptionBank(
        ids, recorded["frozen_labels"], names, "a {class}", descriptions, columns
    )
