"""Stage `data`: list the images and their labels, check that they can be read, and hash them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import ClassTexts
from latte.data.cache import DecodedImages
from latte.data.few_images import counted
from latte.data.images import SkippedImage
from latte.data.scan import Scan, scan_images, write_skipped
from latte.interfaces import Dataset, LatteError, PseudoLabeler
from latte.interfaces.record import DataFacts
from latte.io.files import digest_json, write_lines
from latte.results.folder import RunFolder
from latte.results.oracle import oracle_labels
from latte.results.rows import Rows
from latte.run.corrections import Corrections, read_corrections, save_corrected
from latte.run.result import StageResult
from latte.run.sampling import sampled
from latte.run.workspace import Workspace

_SHOWN_REASONS = 4
_DETAILS = re.compile(r"\(starts with .*\)|\d[\d,]*")
"""Parts of a reason that differ from image to image."""
_FIX = re.compile("pip install|make it smaller")
"""Parts of a reason that say how to make the image readable."""


@dataclass(frozen=True)
class Images:
    """The readable images of a run, in the order that all stages use."""

    class_names: tuple[str, ...]
    template: str
    training: Scan
    evaluation: Scan
    labels: tuple[int, ...]
    """True labels of the evaluation images."""
    templates: tuple[str, ...] = ()
    """All templates if the dataset has several; otherwise empty."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """All names of each class, if at least one class has several names; otherwise empty."""
    sentences: tuple[Mapping[str, float], ...] = ()
    """Weighted sentences of each class, in place of the templates; empty if there are none."""
    corrections: Corrections | None = None
    """Classes that a person gave; None if the recipe has no corrections."""

    @property
    def class_texts(self) -> ClassTexts:
        """The texts of each class: its sentences, or all its names, each in all templates."""
        if self.sentences:
            return ClassTexts.weighted(self.sentences)
        names = self.aliases or [(name,) for name in self.class_names]
        return ClassTexts.of(self.templates or (self.template,), names)

    @property
    def fingerprint(self) -> str:
        """Digest of the images (ids, contents, order), class names, templates and test labels."""
        text_variants: list[Any] = (
            [self.templates, self.aliases] if self.templates or self.aliases else []
        )
        text_variants += [self.sentences] if self.sentences else []
        scans = (self.training, self.evaluation)
        ids = [[image.id for image in scan.images] for scan in scans]
        keys = [scan.keys for scan in scans]
        examples = [self.examples.keys] if self.examples else []
        hashed_inputs = [
            self.class_names,
            self.template,
            ids,
            keys,
            self.labels,
            *text_variants,
            *examples,
        ]
        return digest_json(hashed_inputs)

    @property
    def series_names(self) -> list[str | None]:
        """The series that labels or the dataset give to each training image, then each example."""
        given_series = self.corrections.series if self.corrections else {}
        training = self.joined.training
        return [
            given_series.get(key, image.series)
            for image, key in zip(training.images, training.keys, strict=True)
        ]

    @property
    def given_labels(self) -> tuple[int | float, ...] | None:
        """Answers about the training images and examples; None if there are none.

        -1 stands for an image without an answer, -2 for one that shows none of the classes. Classes
        and reliabilities of a model's answers follow, if there are any.
        """
        if self.corrections is None:
            return None
        labels, none = self.corrections.every_label, self.corrections.none
        return (
            *(-2 if is_none else label for label, is_none in zip(labels, none, strict=False)),
            *labels[len(none) :],
            *(value for answer in self.corrections.uncertain for value in answer),
        )

    @property
    def given(self) -> Tensor:
        """(N,) int64: class that a person gave to each training image, or -1."""
        if self.corrections is None:
            return torch.full((len(self.training.images),), -1)
        return self.corrections.given

    @property
    def given_none(self) -> Tensor | None:
        """(N,) bool: True if a person said that the training image shows no class; None without."""
        return None if self.corrections is None else self.corrections.given_none

    @property
    def example_count(self) -> int | None:
        """Number of examples; None if these images were found without them."""
        return None if self.corrections is None else len(self.corrections.examples.images)

    def correct(self, labelers: Sequence[PseudoLabeler[Any]]) -> Sequence[PseudoLabeler[Any]]:
        """Return the labelers; a class that a person gave replaces each of their labels."""
        return labelers if self.corrections is None else self.corrections.correct(labelers)

    def save_given_labels(self, folder: RunFolder) -> list[Path]:
        """Write the classes that a person gave to training images; see `save_corrected`."""
        return save_corrected(folder, self.training.keys, self.corrections)

    @property
    def examples(self) -> Scan | None:
        """Images beside the dataset that join the training images; None if there are none."""
        examples = self.corrections and self.corrections.examples
        return examples if examples and examples.images else None

    @property
    def joined(self) -> Images:
        """These images, where the examples that a person gave are training images, too."""
        if self.corrections is None:
            return self
        nothing = replace(self.corrections.examples, images=(), keys=())
        corrections = replace(
            self.corrections,
            labels=self.corrections.every_label,
            none=(*self.corrections.none, *(False for _ in self.corrections.example_labels)),
            examples=nothing,
            example_labels=(),
            uncertain=self._joined_uncertain,
        )
        training = self.corrections.joined(self.training)
        return replace(self, training=training, corrections=corrections)

    @property
    def _joined_uncertain(self) -> tuple[tuple[int, float], ...]:
        assert self.corrections is not None
        uncertain, examples = self.corrections.uncertain, self.corrections.example_labels
        return (*uncertain, *((-1, 0.0) for _ in examples)) if uncertain else ()


def find_images(workspace: Workspace) -> Images:
    """List and check the dataset's images. Raises `LatteError` if no training image is readable."""
    dataset, progress = workspace.dataset, workspace.progress
    training = sampled(dataset.training_images(), workspace.limit, "training")
    labelled_samples = sampled(dataset.evaluation_images(), workspace.limit, "evaluation")
    decoded, store = DecodedImages(workspace.context.cache_dir / "decoded"), workspace.pixels
    scan = partial(scan_images, verified=decoded.keys, disk=store)
    scanned = scan(training, progress, "check images")
    evaluated = scan([sample.image for sample in labelled_samples], progress, "check test images")
    if distributed.is_main_process():
        decoded.note([*scanned.keys, *evaluated.keys])
    if not scanned.images:
        raise LatteError(
            f"none of {len(training)} training images can be read",
            where="dataset",
            hint=scanned.skipped[0].reason if scanned.skipped else "the dataset lists no image",
        )
    label_of = {sample.image.id: sample.label for sample in labelled_samples}
    labels = tuple(label_of[image.id] for image in evaluated.images)
    return images_of(dataset, scanned, evaluated, labels)


def images_of(
    dataset: Dataset[Any], training: Scan, evaluation: Scan, labels: tuple[int, ...]
) -> Images:
    """Return images of the dataset with its classes."""
    templates, aliases = tuple(dataset.templates), tuple(map(tuple, dataset.class_aliases))
    return Images(
        tuple(dataset.class_names),
        dataset.template,
        training,
        evaluation,
        labels,
        templates if len(templates) > 1 else (),
        aliases if any(len(names) > 1 for names in aliases) else (),
        tuple(dataset.class_sentences),
    )


def changed_inputs(folder: RunFolder, images: Images) -> list[str]:
    """Return which of `class names` and `images` have changed since the earlier run in `folder`.

    A list that the earlier run lacks, or that is damaged, counts as unchanged.
    """
    changed, class_names = [], tuple[str, ...]()
    if folder.results.exists():
        class_names = folder.results.read().data.class_names
    if class_names and class_names != images.class_names:
        changed.append("class names")
    with suppress(LatteError):
        earlier_rows = Rows(folder, class_names)
        earlier_keys = dict(zip(earlier_rows.training_ids, earlier_rows.training_keys, strict=True))
        image_ids = [image.id for image in images.training.images]
        if earlier_keys != dict(zip(image_ids, images.training.keys, strict=True)):
            changed.append("images")
    return changed


def write_images(workspace: Workspace, images: Images) -> StageResult:
    """Write the lists of images to the run folder; return their paths, and their numbers."""
    folder = workspace.folder
    write_lines(folder.training_images, _lines(images.training, None))
    write_lines(folder.evaluation_images, _lines(images.evaluation, images.labels))
    skipped = (*images.training.skipped, *images.evaluation.skipped)
    write_skipped(folder.skipped, skipped)
    for line in _skipped_lines(skipped, folder.skipped):
        workspace.progress.say(line)
    return StageResult(
        [folder.training_images, folder.evaluation_images, folder.skipped],
        DataFacts(
            class_names=images.class_names,
            training_images=len(images.training.images),
            copies=len(images.training.keys) - len({*images.training.keys}),
            skipped_images=len(skipped),
        ),
    )


def _skipped_lines(skipped: Sequence[SkippedImage], path: Path) -> Iterator[str]:
    """Yield the number of skipped images, then the reasons, each with an example.

    Reasons that name a fix come first.
    """
    if not skipped:
        return
    yield f"skipped {counted(len(skipped), 'image')}; all: {path}"
    groups = defaultdict[str, list[SkippedImage]](list)
    for image in skipped:
        groups[_DETAILS.sub("", image.reason)].append(image)
    reasons = sorted(
        groups.values(), key=lambda group: (not _FIX.search(group[0].reason), -len(group))
    )
    shown = len(reasons) if len(reasons) == _SHOWN_REASONS + 1 else _SHOWN_REASONS
    for example, *similar_images in reasons[:shown]:
        number = counted(1 + len(similar_images), "image")
        yield f"  {number}, such as {example.id}: {example.reason}"
    if unlisted_images := sum(map(len, reasons[shown:])):
        yield f"  {counted(unlisted_images, 'image')} for other reasons"


def _lines(scan: Scan, labels: Sequence[int] | None) -> Iterator[str]:
    for number, (image, key) in enumerate(zip(scan.images, scan.keys, strict=True)):
        label = {} if labels is None else {"label": labels[number]}
        yield json.dumps({"id": image.id, "key": key, **label}, ensure_ascii=False)


def find_all_images(workspace: Workspace) -> Images:
    """Return the dataset's images, and what a person gave; see `read_corrections`."""
    images = find_images(workspace)
    corrections = read_corrections(workspace, images.training, images.class_names, images.aliases)
    return images if corrections is None else replace(images, corrections=corrections)


def true_labels(workspace: Workspace, images: Images) -> Tensor | None:
    """Return the true classes (N,) int64 of the training images, or None if the run uses none.

    Raises `LatteError` if the run uses them, and the dataset lacks the label of a training image.
    """
    ids = [image.id for image in images.training.images]
    examples: dict[str, int] = {}
    if images.corrections is not None:
        label_pairs = zip(ids, images.corrections.labels, strict=True)
        examples = {image_id: label for image_id, label in label_pairs if label >= 0}
    recipe, audit = workspace.recipe.resolved, workspace.dataset.audit_labels
    labels = oracle_labels(recipe, lambda: {**examples, **audit()}, ids)
    return None if labels is None else torch.tensor(labels, dtype=torch.int64)
