"""Plan which questions to ask describers (models that write texts) about the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from latte.data.groups import draw_checked_groups, draw_class_groups, draw_groups, grid
from latte.data.images import CheckedImage
from latte.describe.requests import DescriptionQuestions, Ragged, Requests
from latte.describe.store import GRID, SEPARATE, SINGLE, StoredText, request_key
from latte.interfaces import (
    DescribedImage,
    Describer,
    DescribeRequest,
    DescriptionType,
    ImageReference,
    LatteError,
    Refusal,
)
from latte.io.files import digest
from latte.io.redaction import one_line, redact
from latte.toolkit.seeds import seed_from

Descriptions = Mapping[str, DescriptionType[Any]]


@dataclass(frozen=True)
class TrainingSet:
    """The N training images with the data that the stage `describe` needs."""

    images: Sequence[ImageReference]
    keys: Sequence[str]
    """Hash of each image's encoded content."""
    features: Tensor
    """(N, D): unit features of the frozen CLIP, on the CPU."""
    zero_shot_labels: Tensor
    """(N,) int64: the top-1 zero-shot class of each image, on the CPU."""
    class_names: Sequence[str]
    template: str
    open: Callable[[ImageReference], Image.Image]
    true_labels: Tensor | None = None
    """(N,) int64: true classes, if descriptions may sample groups by them; otherwise None."""


def plan_requests(
    training: TrainingSet,
    descriptions: Descriptions,
    describers: Mapping[str, Describer[Any]],
    seed: int,
    describer_names: Mapping[str, str] | None = None,
) -> dict[str, Plan]:
    """Return for each describer, by name, the requests that describe all training images.

    `describer_names` maps names of descriptions to names of describers; other descriptions use the
    first describer. Describers without requests get no plan. If a group has more images than its
    describer accepts, the images are combined into one grid image.

    Raises `LatteError` if a description has no describer, has options that exclude each other, or
    needs true labels that `training` lacks. A description with several samples also needs a
    describer whose answers vary.
    """
    drafts = {name: _Draft(training, describer) for name, describer in describers.items()}
    for label, kind in descriptions.items():
        if kind.scope == "class":
            continue
        name = (describer_names or {}).get(label) or next(iter(drafts), None)
        if name is None or name not in drafts:
            raise LatteError(
                f"no describer for the description `{label}`",
                hint="name one in the recipe, such as `describer: {use: phrases}`",
            )
        drafts[name].add(label, kind, seed)
    return {name: draft.plan() for name, draft in drafts.items() if draft.descriptions}


@dataclass(frozen=True)
class PlannedDescription:
    """Requests of one description about its S subjects, which are images or groups of images."""

    rows: Ragged
    """Indices of the requests about each subject: one per prompt and sample."""
    groups: Tensor | None
    """(S, size) int64: indices of the training images in each group; None for scope `image`."""
    subject_of_image: Tensor | None = None
    """(N,) int64: index of each training image's subject; None: image i has subject i."""


@dataclass(frozen=True)
class Plan:
    """All distinct requests to one describer, in the order in which they are asked."""

    training: TrainingSet
    requests: Requests
    descriptions: Mapping[str, PlannedDescription]
    fingerprint: str
    noun: ClassVar[str] = "descriptions"
    needs_text: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.requests)

    def key(self, index: int) -> str:
        """Return the key under which the answer to request `index` is stored."""
        return self.requests.key(index)

    @property
    def keys(self) -> Iterator[str]:
        """The keys of all requests."""
        return map(self.key, range(len(self)))

    def record(self, index: int) -> StoredText:
        """Return a record for request `index`, whose answer is still missing."""
        request = self.requests[index]
        images = [self.training.keys[row] for row in request.members]
        return StoredText.unanswered(
            self.fingerprint, request.prompt, images, request.layout, request.sample
        )

    def send(
        self, describer: Describer[Any], requests: Sequence[DescribeRequest]
    ) -> Sequence[str | Refusal | BaseException]:
        """Return the answers of `describer` to `requests`."""
        return describer.describe(requests)

    def request(self, index: int) -> DescribeRequest:
        """Build request `index` in the form that the describer receives."""
        planned = self.requests[index]
        images = shown_images(self.training, planned.members)
        if planned.layout == GRID:
            images = (grid_image(images),)
        return DescribeRequest(images, planned.prompt, planned.sample)

    def classes(self, label: str) -> dict[int, int]:
        """Return the zero-shot label of the images in each request of the description `label`.

        Keys are the indices of the requests.
        """
        planned = self.descriptions[label]
        labels = subject_labels(planned.subject_of_image, self.training.zero_shot_labels)
        pairs = zip(planned.rows, labels.tolist(), strict=True)
        return dict(sorted((row, class_) for rows, class_ in pairs for row in rows))


Plans = Mapping[str, Plan]


def shown_images(training: TrainingSet, rows: Sequence[int]) -> tuple[DescribedImage, ...]:
    """Return the training images with the indices `rows`, as describers receive them."""
    features, keys = training.features[list(rows)].unbind(), [training.keys[row] for row in rows]
    images = [CheckedImage(training.images[row], key) for row, key in zip(rows, keys, strict=True)]
    opened = [partial(training.open, image) for image in images]
    return tuple(map(DescribedImage, keys, features, opened))


def grid_image(images: Sequence[DescribedImage]) -> DescribedImage:
    """Combine images into one grid image; its feature is their normalised mean."""
    mean = torch.stack([image.features for image in images]).mean(0)
    key = digest(GRID, *(image.key for image in images))
    return DescribedImage(key, mean / mean.norm(), lambda: grid([image.open() for image in images]))


@dataclass(frozen=True)
class _Draft:
    training: TrainingSet
    describer: Describer[Any]
    descriptions: dict[str, tuple[DescriptionQuestions, Subjects]] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    """Index of each distinct prompt, counted in the order of first use."""

    def plan(self) -> Plan:
        """Return the plan, with equal questions merged.

        Raises `LatteError` if a prompt or the describer's fingerprint contains a secret.
        """
        for text in (self.describer.fingerprint, *self.prompts):
            refuse_secrets(text)
        question_sets = [questions for questions, _ in self.descriptions.values()]
        requests = Requests(question_sets, [*self.prompts])
        planned_rows = zip(requests.rows(question_sets), self.descriptions.items(), strict=True)
        described = {
            label: PlannedDescription(rows, subjects.groups, subjects.subject_of_image)
            for rows, (label, (_, subjects)) in planned_rows
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
        self.descriptions[label] = self._questions(kind, subjects), subjects

    def _questions(self, kind: DescriptionType[Any], subjects: Subjects) -> DescriptionQuestions:
        number = self.prompts
        prompts = [
            [(text, number.setdefault(text, len(number))) for text in kind.prompts(name)]
            for name in self.training.class_names
        ]
        image_rows = subjects.members.numpy()
        layout_of_several = SEPARATE if image_rows.shape[1] <= self.describer.max_images else GRID
        questions = DescriptionQuestions(
            image_rows, SINGLE if image_rows.shape[1] == 1 else layout_of_several
        )
        classes = subject_labels(subjects.subject_of_image, self.training.zero_shot_labels).tolist()
        keys, describer = self.training.keys, self.describer.fingerprint
        for members, class_ in zip(Ragged.even(image_rows), classes, strict=True):
            images = [keys[row] for row in members]
            for prompt, place in prompts[class_]:
                for sample in range(kind.samples):
                    key = request_key(images, prompt, describer, questions.layout, sample)
                    questions.add(key, place, sample)
            questions.counts.append(len(prompts[class_]) * kind.samples)
        return questions


def refuse_secrets(text: str) -> None:
    """Raise `LatteError` if `text`, which is stored and exported, contains a secret."""
    redacted = redact(text)
    if redacted != text:
        raise LatteError(
            f"a secret would be stored with the texts, in `{one_line(redacted)[:200]}`",
            where="describer",
            hint="prompts and fingerprints of describers are stored and exported: take the value "
            "out of them",
        )


@dataclass(frozen=True)
class Subjects:
    """The S subjects (images or groups of images) that the texts of a description are about.

    All images of a subject have the same zero-shot label.
    """

    members: Tensor
    """(S, size) indices of the training images that are shown for each subject, in order."""
    groups: Tensor | None = None
    """The same as `members` if the subjects are groups; None if they are images."""
    subject_of_image: Tensor | None = None
    """(N,) int64: index of the subject of each training image; None: image i has subject i."""


def subject_labels(subject_of_image: Tensor | None, zero_shot_labels: Tensor) -> Tensor:
    """Return the zero-shot labels (S,) of subjects, which are images or groups of images.

    `zero_shot_labels` (N,) are the labels of the images. `subject_of_image` (N,) is the index of
    each image's subject; None means that image i has subject i.
    """
    if subject_of_image is None:
        return zero_shot_labels
    labels = zero_shot_labels.new_zeros(
        int(subject_of_image.max()) + 1 if len(subject_of_image) else 0
    )
    labels[subject_of_image] = zero_shot_labels
    return labels


def draw_subjects(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Subjects:
    """Return the images or groups that the texts of the description `label` are about.

    Raises `LatteError` if the options of the description exclude each other, or if it needs true
    labels that the run may not use.
    """
    if kind.scope != "group":
        return Subjects(torch.arange(len(training.images))[:, None])
    own_seed = seed_from(f"groups {label}", seed)
    if kind.groups_per_class is None:
        groups = _group_of_each_image(training, label, kind, own_seed)
        return Subjects(groups, groups)
    if kind.correct_images is not None:
        raise LatteError(
            f"`{label}` has `correct_images` and `groups_per_class`: groups with correct images "
            "are drawn per image, not per class",
            where=f"descriptions.{label}",
        )
    groups, subject_of_image = draw_class_groups(
        training.zero_shot_labels, kind.group_size, kind.groups_per_class, own_seed
    )
    return Subjects(groups, groups, subject_of_image)


def _group_of_each_image(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Tensor:
    if kind.correct_images is None:
        return draw_groups(training.zero_shot_labels, kind.group_size, seed)
    if training.true_labels is None:
        raise LatteError(
            f"the groups of `{label}` are drawn by ground-truth labels, which this run may not use",
            hint="write `oracle: true` at the top of the recipe, if this is an ablation",
        )
    labels, correct = training.zero_shot_labels, kind.correct_images
    return draw_checked_groups(labels, training.true_labels, kind.group_size, correct, seed)
