"""Classes that a person gave to images (`corrections` of a recipe), and their effect on a run.

Files of a model's answers may be among them. Answers with a reliability below 1 replace no label:
labelers that count reliabilities get them (`TrainingStart.model_answers`), all others do not.

The images may be training images, or other images, which join the training images as *examples*.
Stages that train see both; all other stages see the dataset's images alone. In training, a given
class replaces each pseudo-label of its image, with weight 1; labelers also get the given classes
(`TrainingStart.corrections`). In all results, an image has the class that a person gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.data.cache import ImageCache
from latte.data.images import SkippedImage
from latte.data.scan import Scan, scan_images
from latte.data.sources.listed import ListedPaths
from latte.data.sources.workbook import sheet_note
from latte.interfaces import (
    Batch,
    EpochInfo,
    FeatureBank,
    ImageReference,
    LabelStream,
    LatteError,
    ModelAnswers,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)
from latte.interfaces.provider import note_provider, provider_of
from latte.io.files import write_json
from latte.io.paths import existing_file, is_folder, relative
from latte.models.posterior import with_given_labels
from latte.recipe.model import Recipe
from latte.results.folder import RunFolder
from latte.results.given_labels import (
    GivenLabel,
    read_labels,
    read_series,
    refuse_useless,
    unknown_answers,
)
from latte.results.measured_gain import unknown_classes
from latte.results.named_images import NamedImages
from latte.results.taught_runs import label_files
from latte.run.workspace import Workspace
from latte.train.checked import check_streams

_KEY = "corrections"


@dataclass(frozen=True)
class Corrections:
    """Classes that a person gave to training images and to examples."""

    labels: tuple[int, ...]
    """(N,): class that a person gave to the training image, or -1."""
    none: tuple[bool, ...]
    """(N,): True if a person said that the training image shows none of the classes."""
    examples: Scan
    """Images that are not in the dataset."""
    example_labels: tuple[int, ...]
    """(E,): the classes of the examples."""
    series: Mapping[str, str] = field(default_factory=dict)
    """Series of images in the files, by content key."""
    uncertain: tuple[tuple[int, float], ...] = ()
    """(N,): class that a model gave to the training image, or -1, and the reliability of this
    answer; empty if there is no such answer."""

    @property
    def model_answers(self) -> ModelAnswers | None:
        """The answers `uncertain`, on the CPU; None if there are none."""
        if not self.uncertain:
            return None
        classes, reliabilities = zip(*self.uncertain, strict=True)
        return ModelAnswers(torch.tensor(classes), torch.tensor(reliabilities))

    @property
    def given(self) -> Tensor:
        """The classes (N,) of the training images, or -1."""
        return torch.tensor(self.labels)

    @property
    def given_none(self) -> Tensor | None:
        """(N,) bool: `none`; None if there is no such answer."""
        return torch.tensor(self.none) if any(self.none) else None

    @property
    def every_label(self) -> tuple[int, ...]:
        """(N + E,): the classes of the training images, or -1, and of the examples."""
        return (*self.labels, *self.example_labels)

    def correct(self, labelers: Sequence[PseudoLabeler[Any]]) -> Sequence[PseudoLabeler[Any]]:
        """Return the labelers; a given class replaces each of their labels."""
        return [CorrectedLabeler(labeler, self.given) for labeler in labelers]

    def joined(self, training: Scan) -> Scan:
        """Return the training images and the examples as one scan."""
        images, keys = (
            (*training.images, *self.examples.images),
            (*training.keys, *self.examples.keys),
        )
        cache = ImageCache(images, store=training.cache.store, keys=keys)
        return Scan(images, keys, training.skipped, cache)


def read_corrections(
    workspace: Workspace,
    training: Scan,
    class_names: Sequence[str],
    aliases: Sequence[Sequence[str]] = (),
) -> Corrections | None:
    """Return the classes in the recipe's files `corrections`; None if it names no file.

    Only the main process reads the files, and only once, because a reviewer may extend them during
    the run. All images with the same content get the same class. Raises `LatteError` for a file
    that cannot be read or used.
    """
    if not label_files(workspace.recipe.resolved):
        return None
    labels, none, entries, series, uncertain = distributed.broadcast(
        lambda: _read(workspace, training, class_names, aliases)
    )
    images = [
        ImageReference(name, Path(path), (span[0], span[1]) if span else None)
        for name, path, span, _ in entries
    ]
    examples = scan_images(images, workspace.progress, "check examples", disk=workspace.pixels)
    for image in examples.skipped:
        workspace.progress.say(f"warning: {_where(image)} cannot be read ({image.reason})")
    label_of = {image.id: label for image, (*_, label) in zip(images, entries, strict=True)}
    example_labels = tuple(label_of[image.id] for image in examples.images)
    answers = (tuple(labels), tuple(none), examples, example_labels)
    return Corrections(*answers, series, tuple(uncertain))


def _read(
    workspace: Workspace,
    training: Scan,
    class_names: Sequence[str],
    aliases: Sequence[Sequence[str]],
) -> tuple[
    list[int],
    list[bool],
    list[tuple[str, str, tuple[int, int] | None, int]],
    dict[str, str],
    list[tuple[int, float]],
]:
    """Return answers about the training images, and examples: id, path, span and class of each.

    The answers are the class of each image, or -1, and whether it shows none of the classes. The
    series that the files give are returned, too, by content key, and uncertain answers.
    """
    recipe = workspace.recipe
    ids = [image.id for image in training.images]
    images = NamedImages(
        dict(zip(ids, training.keys, strict=True)), workspace.dataset.training_images
    )
    labels_by_key: dict[str, GivenLabel] = {}
    uncertain_by_key: dict[str, GivenLabel] = {}
    series: dict[str, str] = {}
    paths = [correction_path(recipe, file) for file in label_files(recipe.resolved)]
    for path in paths:
        if note := sheet_note(path):
            workspace.progress.say(note)
        for key, entry in read_labels(path, images, class_names, aliases).items():
            (labels_by_key if entry.reliability == 1 else uncertain_by_key)[key] = entry
        if unknown := unknown_answers(path, images, class_names, aliases):
            workspace.progress.say(f"warning: {unknown_classes(unknown, class_names, path)}")
        series |= read_series(path, images)
    labels = {key: entry.label for key, entry in labels_by_key.items() if entry.label is not None}
    uncertain = _uncertain(training.keys, uncertain_by_key, labels_by_key)
    if not uncertain:
        refuse_useless(labels, training.keys, class_names, ", ".join(map(relative, paths)))
    _check_sending(recipe, images.examples.values(), paths)
    examples = [
        (image.id, str(image.path), image.span, labels[key])
        for key, image in images.examples.items()
        if key in labels
    ]
    none = {key for key, entry in labels_by_key.items() if entry.is_none}
    given = [labels.get(key, -1) for key in training.keys]
    return given, [key in none for key in training.keys], examples, series, uncertain


def _uncertain(
    keys: Sequence[str], answers: Mapping[str, GivenLabel], certain: Mapping[str, GivenLabel]
) -> list[tuple[int, float]]:
    """Return class, or -1, and reliability for each image; empty if no answer counts.

    An answer of a person about the image replaces that of a model.
    """
    counted = {
        key: (answer.label, answer.reliability)
        for key, answer in answers.items()
        if key not in certain and answer.label is not None
    }
    return [counted.get(key, (-1, 0.0)) for key in keys] if counted else []


def correction_path(recipe: Recipe, file: str) -> Path:
    """Return the path of a file or folder of `corrections`, if it exists; else raise an error."""
    path = recipe.base_dir / Path(file).expanduser()
    return path if is_folder(path) else existing_file(path, _KEY)


def _check_sending(
    recipe: Recipe, examples: Iterable[ImageReference], paths: Sequence[Path]
) -> None:
    """Raise `LatteError` if a describer would send an example from outside its file's folder.

    A file that another person wrote could name any image of this machine.
    """
    addresses = (describer.options.sends_to for describer in recipe.describers)
    address = next(filter(None, addresses), None)
    if address is None:
        return
    folders = [path if is_folder(path) else path.parent for path in paths]
    inside = [ListedPaths(folder, absolute=True) for folder in folders]
    for image in examples:
        if not any(listed.stays_inside(image.path.absolute()) for listed in inside):
            raise LatteError(
                f"this image is outside the folder of its label, and would be sent to {address}",
                where=str(image.path),
                hint=f"copy it below {folders[0]}, or leave it out",
            )


def _where(image: SkippedImage) -> str:
    return f"the example {image.id.removeprefix('examples/')}"


class CorrectedLabeler(PseudoLabeler[Any]):
    """Labeler whose label of an image is the class that a person gave, with weight 1, if any."""

    def __init__(self, labeler: PseudoLabeler[Any], corrections: Tensor) -> None:
        """Correct `labeler` by the classes `corrections` (N,), int64 on the CPU; -1 is no class."""
        super().__init__(labeler.options, labeler.context)
        note_provider(self, provider_of(labeler))
        self._labeler, self._corrections = labeler, corrections
        self.refresh: Refresh = labeler.refresh
        self.needs_feature_banks: bool = labeler.needs_feature_banks

    def start(self, start: TrainingStart) -> None:
        """Prepare the labeler."""
        self._labeler.start(start)

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Return what the labeler returns."""
        return self._labeler.on_epoch_start(banks, aggregators, epoch)

    def posterior(self, learner: str) -> Posterior | None:
        """Return the labeler's posterior as it is; results replace classes that a person gave."""
        return self._labeler.posterior(learner)

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the labeler's streams, with the given classes in place of its labels."""
        streams = self._labeler.assign(batch, image_features, aggregator)
        check_streams(self._labeler, streams, image_features)
        corrections = self._corrections[batch.indices]
        corrections = corrections.to(image_features.device, non_blocking=True)
        return [_corrected(stream, corrections) for stream in streams]

    def state(self) -> dict[str, Tensor]:
        """Return the state of the labeler."""
        return self._labeler.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of the labeler."""
        self._labeler.load_state(state)


def _corrected(stream: LabelStream, corrections: Tensor) -> LabelStream:
    is_given = corrections >= 0
    return replace(
        stream,
        labels=corrections.where(is_given, stream.labels),
        weights=stream.weights.masked_fill(is_given, 1.0),
        posterior=stream.posterior and with_given_labels(stream.posterior, corrections),
    )


def save_corrected(
    folder: RunFolder, keys: Sequence[str], corrections: Corrections | None
) -> list[Path]:
    """Write the classes that a person gave, by content hash; remove the file if there are none.

    -1 stands for an image that shows none of the classes.
    `keys` are the content hashes of the training images.
    """
    if corrections is None:
        folder.corrected.unlink(missing_ok=True)
        return []
    answers = zip(keys, corrections.labels, corrections.none, strict=True)
    given = {key: label for key, label, is_none in answers if label >= 0 or is_none}
    write_json(folder.corrected, given)
    return [folder.corrected]
