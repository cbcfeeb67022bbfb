"""What a description is about: each image, a group for each image, or fewer groups a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from latte.data.groups import draw_class_groups, draw_groups, draw_oracle_groups, grid
from latte.describe.requests import GRID, SEPARATE, SINGLE, Asked, Ragged, Requests
from latte.describe.store import request_key
from latte.interfaces import (
    DescribedImage,
    Describer,
    DescribeRequest,
    DescriptionType,
    ImageReference,
    LatteError,
)
from latte.io.files import digest
from latte.toolkit.seeds import seed_from

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


@dataclass(frozen=True)
class Subjects:
    """S images or groups, each of them of one frozen label."""

    members: Tensor
    """(S, size): for each subject, the rows of the training set that are shown, in order."""
    groups: Tensor | None = None
    """The same; None where the subjects are the images."""
    own: Tensor | None = None
    """(N,) int64: the subject of each training image; None: subject i is that of image i."""

    def labels(self, zero_shot_labels: Tensor) -> Tensor:
        """The frozen label (S,) of each subject, from those of the images (N,)."""
        return zero_shot_labels if self.own is None else subject_labels(self.own, zero_shot_labels)


def subject_labels(own: Tensor, zero_shot_labels: Tensor) -> Tensor:
    """The frozen label (S,) of each subject; `own` (N,) says which one each image has."""
    labels = zero_shot_labels.new_zeros(int(own.max()) + 1 if len(own) else 0)
    labels[own] = zero_shot_labels
    return labels


def draw_subjects(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Subjects:
    """The subjects of the description `label`. Raises `LatteError` where labels are missing."""
    if kind.scope != "group":
        return Subjects(torch.arange(len(training.images))[:, None])
    own_seed = seed_from(f"groups {label}", seed)
    if kind.groups_per_class is None:
        groups = _group_of_each_image(training, label, kind, own_seed)
        return Subjects(groups, groups)
    if kind.correct_images is not None:
        raise LatteError(
            f"the groups of `{label}` are drawn by labels, one for each image, and not so many "
            "for each class",
            where=f"descriptions.{label}",
        )
    groups, own = draw_class_groups(
        training.zero_shot_labels, kind.group_size, kind.groups_per_class, own_seed
    )
    return Subjects(groups, groups, own)


def _group_of_each_image(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Tensor:
    """(N, size) rows of the training set."""
    if kind.correct_images is None:
        return draw_groups(training.zero_shot_labels, kind.group_size, seed)
    if training.oracle_labels is None:
        raise LatteError(
            f"the groups of `{label}` are drawn by ground-truth labels, which this run may not use",
            hint="write `oracle: true` at the top of the recipe, if this is an ablation",
        )
    return draw_oracle_groups(
        training.zero_shot_labels,
        training.oracle_labels,
        kind.group_size,
        kind.correct_images,
        seed,
    )


# Which requests a run needs: of each describer, about each training image, equal ones merged.


@dataclass(frozen=True)
class TrainingSet:
    """The N training images as the describing stage sees them; row i is image i everywhere."""

    images: Sequence[ImageReference]
    keys: Sequence[str]
    """Hash of each encoded image."""
    features: Tensor
    """(N, D): the frozen CLIP's unit features, on the CPU."""
    zero_shot_labels: Tensor
    """(N,) int64: the top-1 zero-shot class of each image, on the CPU."""
    class_names: Sequence[str]
    template: str
    """The dataset's, with `{class}`."""
    open: Callable[[ImageReference], Image.Image]
    """Decode to RGB."""
    oracle_labels: Tensor | None = None
    """(N,) int64: true classes, for drawing the groups of an oracle; None for every other run."""


@dataclass(frozen=True)
class PlannedDescription:
    """Where one description of every training image comes from.

    It is about S subjects: the images themselves, a group for each of them, or fewer groups.
    """

    rows: Sequence[tuple[int, ...]]
    """For each of the S subjects, indices into the plan's requests: one for each prompt and sample,
    samples of a prompt side by side."""
    groups: Tensor | None
    """(S, size) rows of the training set: the groups. None for scope `image`."""
    own: Tensor | None = None
    """(N,) int64: the subject of each training image, which has its frozen label; None: subject i
    is that of image i."""


@dataclass(frozen=True)
class Plan:
    """All distinct requests to one describer, in the order in which they are asked."""

    training: TrainingSet
    requests: Requests
    descriptions: Mapping[str, PlannedDescription]
    """By the description's name in the recipe, those that ask this describer."""
    fingerprint: str
    """The describer's."""

    def request(self, index: int) -> DescribeRequest:
        """The request `index` as a describer gets it."""
        planned = self.requests[index]
        images = _described(self.training, planned.members)
        if planned.layout == GRID:
            images = (_grid(images),)
        return DescribeRequest(images, planned.prompt, planned.sample)

    def classes(self, label: str) -> dict[int, int]:
        """The requests of the description `label`, in order, and the frozen label of each."""
        planned, labels = self.descriptions[label], self.training.zero_shot_labels
        if planned.own is not None:
            labels = subject_labels(planned.own, labels)
        pairs = zip(planned.rows, labels.tolist(), strict=True)
        return dict(sorted((row, class_) for rows, class_ in pairs for row in rows))


def plan_requests(
    training: TrainingSet,
    descriptions: Mapping[str, DescriptionType[Any]],
    describers: Mapping[str, Describer[Any]],
    seed: int,
    asked: Mapping[str, str] | None = None,
) -> dict[str, Plan]:
    """Plan what to ask so that every image- and group-scope description covers every image.

    `asked` maps descriptions to the describer that they ask; the others ask the first. Returns the
    plan of each describer that is asked anything, in their order. A group that holds more images
    than its describer takes is shown as one grid. Raises `LatteError` where a description has no
    describer, or one that cannot do what it wants, or where groups need labels and there are none.
    """
    drafts = {name: _Draft(training, one) for name, one in describers.items()}
    for label, kind in descriptions.items():
        if kind.scope == "class":
            continue
        name = (asked or {}).get(label) or next(iter(drafts), None)
        if name is None or name not in drafts:
            raise LatteError(
                f"nobody is there to write the description `{label}`",
                hint="name one in the recipe, such as `describer: {use: phrases}`",
            )
        drafts[name].add(label, kind, seed)
    return {name: draft.plan() for name, draft in drafts.items() if draft.descriptions}


class _Draft:
    """Requests to one describer so far."""

    def __init__(self, training: TrainingSet, describer: Describer[Any]) -> None:
        self.training = training
        self.describer = describer
        self.descriptions: dict[str, tuple[Asked, Subjects]] = {}
        self._prompts: dict[str, int] = {}

    def plan(self) -> Plan:
        """What was added, equal questions merged."""
        asked = [one for one, _ in self.descriptions.values()]
        requests = Requests(asked, [*self._prompts])
        described = {
            label: PlannedDescription(rows, subjects.groups, subjects.own)
            for rows, (label, (_, subjects)) in zip(
                requests.rows(asked), self.descriptions.items(), strict=True
            )
        }
        return Plan(self.training, requests, described, self.describer.fingerprint)

    def add(self, label: str, kind: DescriptionType[Any], seed: int) -> None:
        if kind.samples > 1 and not self.describer.varies:
            raise LatteError(
                f"`{label}` wants {kind.samples} samples, and its describer writes the same text "
                "each time",
                where=f"descriptions.{label}.samples",
                hint="take a describer that varies, such as one with temperature above 0, or "
                "write several prompts",
            )
        subjects = draw_subjects(self.training, label, kind, seed)
        self.descriptions[label] = self._asked(kind, subjects), subjects

    def _asked(self, kind: DescriptionType[Any], subjects: Subjects) -> Asked:
        prompts = [
            [(prompt, self._number(prompt)) for prompt in kind.prompts(name)]
            for name in self.training.class_names
        ]
        shown = subjects.members.numpy()
        asked = Asked(shown, self._layout(shown.shape[1]))
        classes = subjects.labels(self.training.zero_shot_labels).tolist()
        keys, describer = self.training.keys, self.describer.fingerprint
        for members, class_ in zip(Ragged.even(shown), classes, strict=True):
            images = [keys[row] for row in members]
            for prompt, number in prompts[class_]:
                for sample in range(kind.samples):
                    key = request_key(images, prompt, describer, asked.layout, sample)
                    asked.add(key, number, sample)
            asked.end_subject(len(prompts[class_]) * kind.samples)
        return asked

    def _number(self, prompt: str) -> int:
        return self._prompts.setdefault(prompt, len(self._prompts))

    def _layout(self, images: int) -> str:
        if images == 1:
            return SINGLE
        return SEPARATE if images <= self.describer.max_images else GRID


def _described(training: TrainingSet, rows: Sequence[int]) -> tuple[DescribedImage, ...]:
    features = training.features[list(rows)].unbind()
    return tuple(
        DescribedImage(training.keys[row], feature, partial(training.open, training.images[row]))
        for row, feature in zip(rows, features, strict=True)
    )


def _grid(images: Sequence[DescribedImage]) -> DescribedImage:
    """Several images as one; its feature is the normalised mean of theirs."""
    mean = torch.stack([image.features for image in images]).mean(0)
    return DescribedImage(
        key=digest(GRID, *(image.key for image in images)),
        features=mean / mean.norm(),
        open=lambda: grid([image.open() for image in images]),
    )
