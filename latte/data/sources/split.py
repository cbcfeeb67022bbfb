"""A dataset whose images, labels and class names come from the entries of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from latte.data.sources.base import ImageSource, SourceOptionsT, by_id
from latte.data.sources.classes import distinct
from latte.data.sources.evaluation import labelled_by_id, refuse_overlap
from latte.data.sources.listed import ListedPaths, refuse_all_missing, unique
from latte.data.sources.split_file import SHAPE, Entry, Splits, names_by_label
from latte.interfaces import Context, ImageReference, LabelledImage, LatteError


class SplitDataset(ImageSource[SourceOptionsT]):
    """Training is train and val, evaluation is test, as LatteCLIP and its baselines read CoOp.

    Classes are ordered by label id, their names taken from whichever entries are labelled.
    Somebody else wrote the split, so its paths must stay below the root.
    """

    def __init__(
        self,
        options: SourceOptionsT,
        context: Context,
        splits: Splits,
        *,
        file: Path,
        root: Path,
        spell: Callable[[str], str],
    ) -> None:
        """Messages name `file`; `spell` turns a split's class name into the one that is used."""
        self._file, self._root = file, root
        self._train, self._test = splits["train"] + splits["val"], splits["test"]
        names = names_by_label(self._train + self._test)
        self._labels = {label: index for index, label in enumerate(names)}
        super().__init__(options, context, _class_names(names.values(), file, spell))

    def training_images(self) -> Sequence[ImageReference]:
        """The images of train and val, sorted by id."""
        return by_id([image for image, _ in self._listed_training])

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """The images of test, sorted by id."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """The labels of train and val, where the split gives them."""
        return {
            image.id: self._labels[entry.label]
            for image, entry in self._listed_training
            if entry.label is not None
        }

    @cached_property
    def _listed_training(self) -> list[tuple[ImageReference, Entry]]:
        return self._listed(self._train)

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        if not self._test:
            return ()
        labelled = [
            LabelledImage(image, self._labels[_label_of(entry)])
            for image, entry in self._listed(self._test)
        ]
        refuse_overlap(self.training_images(), labelled, str(self._file))
        return labelled_by_id(labelled)

    def _listed(self, entries: Sequence[Entry]) -> list[tuple[ImageReference, Entry]]:
        paths = ListedPaths(self._root, absolute=False)
        listed = [(paths.reference(entry.path, entry.where), entry) for entry in entries]
        images = unique([(image, entry.where) for image, entry in listed])
        refuse_all_missing(images, self._root, str(self._file))
        return listed


def _label_of(entry: Entry) -> int:
    if entry.label is None:
        raise LatteError("an image of the test split has no label", where=entry.where, hint=SHAPE)
    return entry.label


def _class_names(
    entries: Iterable[Entry], file: Path, spell: Callable[[str], str]
) -> tuple[str, ...]:
    spelled = [(spell(entry.name), entry.where) for entry in entries]
    for name, where in spelled:
        if not name.strip():
            raise LatteError("a class has an empty name", where=where)
    return distinct(spelled, str(file))
