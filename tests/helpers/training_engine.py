"""Trainings on small images with a tiny CLIP, for tests of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.backbone.encode import ClassTexts, encode_class_texts, encode_image_batches
from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.components.trainable import LastBlocks, LastBlocksOptions
from latte.data.batches import evaluation_batches
from latte.data.scan import scan_images
from latte.data.views import TrainingView
from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.interfaces import (
    Backbone,
    ImageReference,
    Loss,
    NoOptions,
    Progress,
    PrototypeAggregator,
    PseudoLabeler,
    Trainable,
    TrainableGroup,
    TrainingStart,
)
from latte.interfaces.settings import AugmentSettings, OptimizerSettings, TrainSettings
from latte.train.features import StepInputs
from latte.train.learner import Learner, build_learner
from latte.train.training import Training
from tests.helpers.describe_doubles import descriptions
from tests.helpers.training_driver import CONTEXT

CLASSES = ("red", "green", "blue")
TEMPLATE = "a photo of a {class}."
CLASS_TEXTS = ClassTexts.of([TEMPLATE], [(name,) for name in CLASSES])


class TrainingSettings(TrainSettings):
    """Settings of a training, and of its views, which a recipe names by its key `augmentation`."""

    augment: AugmentSettings | None = AugmentSettings()


SETTINGS = TrainingSettings(
    batch_size=4,
    max_steps=7,
    checkpoint_every=2,
    warmup_steps=2,
    optimizer=OptimizerSettings(learning_rate=1e-3),
)

LAST_BLOCK = LastBlocks(LastBlocksOptions(blocks=1), CONTEXT)
"""Trains the second block of both towers of the tiny CLIP, and the projections."""


@dataclass(frozen=True)
class Part:
    """The components of one learner."""

    name: str
    trainable: TrainableGroup | Trainable[Any]
    prototypes: PrototypeAggregator[Any]
    loss: Loss[Any] | None


def latteclip_part(name: str = "main", trainable: TrainableGroup | Trainable[Any] = "all") -> Part:
    prototypes = MomentumPrototypes(MomentumOptions(momentum=0.9), CONTEXT)
    return Part(name, trainable, prototypes, ContrastiveLoss(NoOptions(), CONTEXT))


def latteclip_labelers() -> list[PseudoLabeler[Any]]:
    return [
        CurrentLabeler(StreamOptions(), CONTEXT),
        FrozenLabeler(StreamOptions(), CONTEXT),
    ]


def make_training(
    frozen: Backbone,
    images: Path,
    folder: Path,
    progress: Progress,
    *,
    parts: Sequence[Part] | None = None,
    labelers: Sequence[PseudoLabeler[Any]] | None = None,
    settings: TrainingSettings = SETTINGS,
    described: bool = True,
) -> Training:
    """Return a training on every image below `images`, with descriptions by number."""
    references = [
        ImageReference(path.relative_to(images).as_posix(), path)
        for path in sorted(images.rglob("*.jpg"))
    ]
    scan = scan_images(references, progress, "scan")
    batches = evaluation_batches(scan.cache, frozen.pixel_format, 8)
    features = encode_image_batches(frozen, batches, len(references), progress, "encode")
    class_features = encode_class_texts(frozen, CLASS_TEXTS)
    labels = (features @ class_features.T).argmax(dim=1)
    types = descriptions(template=TEMPLATE) if described else {}
    bank = _bank(references, labels, types)
    inputs = StepInputs(
        labelers=latteclip_labelers() if labelers is None else labelers,
        bank=bank,
        descriptions=[*types],
        class_texts=CLASS_TEXTS,
        seed=0,
    )
    return Training(
        settings=settings,
        inputs=inputs,
        start=TrainingStart(
            CLASSES,
            class_features,
            features,
            labels,
            lambda name: features,
            encode_names=lambda names: _unlike_all(len(names), class_features),
        ),
        images=scan.cache,
        view=TrainingView(frozen.pixel_format, settings.augment, 0),
        learners=[_learner(frozen, part, settings) for part in parts or [latteclip_part()]],
        folder=folder,
        evaluation_batch_size=8,
        evaluate=None,
    )


def _bank(
    references: Sequence[ImageReference],
    labels: torch.Tensor,
    types: Mapping[str, Any],
) -> DescriptionBank:
    numbers = range(len(references))
    columns = {
        "image": Column([(f"picture number {number}",) for number in numbers]),
        "group": Column(
            [(f"a group of {number}",) for number in numbers],
            torch.arange(len(references)).repeat_interleave(2).reshape(-1, 2),
        ),
    }
    described_columns = {name: column for name, column in columns.items() if name in types}
    ids = [reference.id for reference in references]
    return DescriptionBank(ids, labels, CLASSES, TEMPLATE, types, described_columns)


def _learner(frozen: Backbone, part: Part, settings: TrainSettings) -> Learner:
    def select(backbone: Backbone) -> Mapping[str, nn.Parameter]:
        if isinstance(part.trainable, Trainable):
            return part.trainable.select(backbone)
        return backbone.train_only(part.trainable)

    return build_learner(
        part.name,
        frozen,
        select,
        part.prototypes,
        part.loss,
        settings.optimizer,
        settings.precision,
        settings.micro_batch_size,
    )


def with_settings(settings: TrainingSettings, **changes: Any) -> TrainingSettings:
    """Return `settings` with some fields replaced."""
    return settings.model_copy(update=changes)


def _unlike_all(names: int, class_features: Tensor) -> Tensor:
    """Return random unit text features (K, D) of other names, on the device of the classes'."""
    generator = torch.Generator().manual_seed(names)
    rows = torch.randn(names, class_features.shape[1], generator=generator)
    return normalize(rows, dim=1).to(class_features)
