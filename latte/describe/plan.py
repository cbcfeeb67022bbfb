"""Which requests a run needs: one for each training image and description, equal ones merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from latte.data.groups import draw_groups, grid
from latte.data.oracle import draw_oracle_groups
from latte.data.seeds import seed_from
from latte.describe.store import request_key
from latte.files import digest
from latte.interfaces import (
    DescribedImage,
    Describer,
    DescribeRequest,
    DescriptionType,
    ImageReference,
    LatteError,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

SINGLE, SEPARATE, GRID = "single", "separate", "grid-1"
"""Layouts, as they enter keys. Number the grid anew when its geometry changes."""


@dataclass(frozen=True)
class TrainingSet:
    """The N training images as the describing stage sees them; row i is image i everywhere."""

    images: Sequence[ImageReference]
    keys: Sequence[str]
    """Hash of each encoded image."""
    features: Tensor
    """(N, D): the frozen CLIP's unit features, on the CPU."""
    frozen_labels: Tensor
    """(N,) int64: the top-1 zero-shot class of each image, on the CPU."""
    class_names: Sequence[str]
    template: str
    """The dataset's, with `{class}`."""
    open: Callable[[ImageReference], Image.Image]
    """Decode to RGB."""
    oracle_labels: Tensor | None = None
    """(N,) int64: true classes, for drawing the groups of an oracle; None for every other run."""


@dataclass(frozen=True)
class PlannedRequest:
    """One distinct question: what a text is stored under, and what it takes to ask."""

    key: str
    members: tuple[int, ...]
    """Rows of the training set, in the order shown."""
    prompt: str
    layout: str


@dataclass(frozen=True)
class PlannedDescription:
    """Where one description of every training image comes from."""

    rows: tuple[int, ...]
    """N indices into the plan's requests."""
    groups: Tensor | None
    """(N, size) rows of the training set: each image's group. None for scope `image`."""


@dataclass(frozen=True)
class Plan:
    """All distinct requests of a run, in the order in which they are asked."""

    training: TrainingSet
    requests: tuple[PlannedRequest, ...]
    descriptions: Mapping[str, PlannedDescription]
    """By the description's name in the recipe; those of scope `class` ask nothing."""
    fingerprint: str
    """The describer's; empty where nothing is asked."""

    def request(self, index: int) -> DescribeRequest:
        """The request `index` as a describer gets it."""
        planned = self.requests[index]
        images = tuple(_described(self.training, row) for row in planned.members)
        if planned.layout == GRID:
            images = (_grid(images),)
        return DescribeRequest(images, planned.prompt)


def plan_requests(
    training: TrainingSet,
    descriptions: Mapping[str, DescriptionType[Any]],
    describer: Describer[Any] | None,
    seed: int,
) -> Plan:
    """Plan what to ask so that every image- and group-scope description covers every image.

    A group that holds more images than `describer.max_images` is shown as one grid. Raises
    `LatteError` where something is to be asked and there is no describer, or where groups need
    labels and there are none.
    """
    asking = {label: kind for label, kind in descriptions.items() if kind.scope != "class"}
    if not asking:
        return Plan(training, (), {}, fingerprint="")
    if describer is None:
        raise LatteError(
            f"nobody is there to write the description `{next(iter(asking))}`",
            hint="name one in the recipe, such as `describer: {use: phrases}`",
        )
    draft = _Draft(training, describer.fingerprint, describer.max_images)
    planned = {label: draft.add(label, kind, seed) for label, kind in asking.items()}
    return Plan(training, tuple(draft.requests), planned, draft.fingerprint)


class _Draft:
    """Requests so far, equal keys merged."""

    def __init__(self, training: TrainingSet, fingerprint: str, max_images: int) -> None:
        self.training = training
        self.fingerprint = fingerprint
        self.max_images = max_images
        self.requests: list[PlannedRequest] = []
        self._row_of_key: dict[str, int] = {}

    def add(self, label: str, kind: DescriptionType[Any], seed: int) -> PlannedDescription:
        groups = None
        members: Sequence[Sequence[int]] = [[row] for row in range(len(self.training.images))]
        if kind.scope == "group":
            groups = _draw(self.training, label, kind, seed)
            members = groups.tolist()
        prompts = [kind.prompt(name) for name in self.training.class_names]
        classes = self.training.frozen_labels.tolist()
        rows = tuple(
            self._row(tuple(group), prompts[c]) for group, c in zip(members, classes, strict=True)
        )
        return PlannedDescription(rows, groups)

    def _row(self, members: tuple[int, ...], prompt: str) -> int:
        layout = self._layout(len(members))
        images = [self.training.keys[row] for row in members]
        key = request_key(images, prompt, self.fingerprint, layout)
        row = self._row_of_key.setdefault(key, len(self.requests))
        if row == len(self.requests):
            self.requests.append(PlannedRequest(key, members, prompt, layout))
        return row

    def _layout(self, images: int) -> str:
        if images == 1:
            return SINGLE
        return SEPARATE if images <= self.max_images else GRID


def _draw(training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int) -> Tensor:
    """Each image's group: (N, size) rows of the training set."""
    own_seed = seed_from(f"groups {label}", seed)
    if kind.correct_images is None:
        return draw_groups(training.frozen_labels, kind.group_size, own_seed)
    if training.oracle_labels is None:
        raise LatteError(
            f"the groups of `{label}` are drawn by ground-truth labels, which this run may not use",
            hint="write `oracle: true` at the top of the recipe, if this is an ablation",
        )
    return draw_oracle_groups(
        training.frozen_labels,
        training.oracle_labels,
        kind.group_size,
        kind.correct_images,
        own_seed,
    )


def _described(training: TrainingSet, row: int) -> DescribedImage:
    reference = training.images[row]
    return DescribedImage(
        key=training.keys[row],
        features=training.features[row],
        open=lambda: training.open(reference),
    )


def _grid(images: Sequence[DescribedImage]) -> DescribedImage:
    """Several images as one; its feature is the normalised mean of theirs."""
    mean = torch.stack([image.features for image in images]).mean(0)
    return DescribedImage(
        key=digest(GRID, *(image.key for image in images)),
        features=mean / mean.norm(),
        open=lambda: grid([image.open() for image in images]),
    )
