"""Split files as CoOp publishes them: `{"train"|"val"|"test": [[path, label, name], ...]}`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import ClassVar

from latte.data.sources.classes import distinct
from latte.data.sources.listed import ListedPaths, by_id, labelled_by_id, refuse_all_missing, unique
from latte.data.sources.source import ImageSource, SourceOptionsT
from latte.interfaces import Context, ImageReference, LabelledImage, LatteError
from latte.io.json_text import parse_json
from latte.io.paths import read_text

SHAPE = 'A split is {"train": [["cat/1.jpg", 0, "cat"], ...], "val": [...], "test": [...]}.'


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a split file; `label` is None if the file gives no label.

    `where` is the place `FILE SPLIT[INDEX]`, which error messages show.

    Example:
        >>> from latte.api.sources import Entry
        >>> Entry("split.json train[0]", "cat/1.jpg", 0, "cat").label
        0
    """

    where: str
    path: str
    label: int | None
    name: str


class Splits(dict[str, list[Entry]]):
    """Lists of entries of train, val and test, in this order; a missing split is empty.

    Example:
        >>> from latte.api.sources import Entry, Splits
        >>> cat = Entry("split.json train[0]", "cat/1.jpg", 0, "cat")
        >>> [*Splits(train=[cat], val=[], test=[]).names_by_label()]
        [0]
    """

    NAMES: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def names_by_label(self) -> dict[int, Entry]:
        """Return one labelled entry for each label, in label order.

        Raises `LatteError` if a label has two names.
        """
        first_entries: dict[int, Entry] = {}
        for entry in chain.from_iterable(self.values()):
            if entry.label is None:
                continue
            first_entry = first_entries.setdefault(entry.label, entry)
            if first_entry.name != entry.name:
                raise LatteError(
                    f"label {entry.label} is called {entry.name!r}",
                    where=entry.where,
                    hint=f"It is called {first_entry.name!r} at {first_entry.where}.",
                )
        return dict(sorted(first_entries.items()))


def read_splits(file: Path) -> Splits:
    """Read a split file of CoOp. Raises `LatteError` with the place of malformed content.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import read_splits
        >>> file = Path("split.json")
        >>> _ = file.write_text('{"train": [["cat/1.jpg", 0, "cat"]], "test": []}')
        >>> read_splits(file)["train"][0].name
        'cat'
    """
    try:
        content = parse_json(read_text(file))
    except json.JSONDecodeError as error:
        raise LatteError(
            f"malformed JSON: {error.msg}", where=f"{file}:{error.lineno}", hint=SHAPE
        ) from error
    except ValueError as error:
        raise LatteError(f"malformed JSON: {error}", where=str(file), hint=SHAPE) from error
    if not isinstance(content, dict) or "train" not in content:
        raise LatteError("is not a split file: it has no train split", where=str(file), hint=SHAPE)
    splits = Splits()
    for name in Splits.NAMES:
        entries = [] if content.get(name) is None else content[name]
        if not isinstance(entries, list):
            raise LatteError("is not a list of entries", where=f"{file} {name}", hint=SHAPE)
        splits[name] = [
            _read_entry(raw_entry, f"{file} {name}[{i}]") for i, raw_entry in enumerate(entries)
        ]
    return splits


def _read_entry(entry: object, where: str) -> Entry:
    match entry:
        case [str(path)] | [str(path), None] | [str(path), None, None]:
            return Entry(where, path, None, "")
        case [str(path), int(label), str(name)] if not isinstance(label, bool):
            return Entry(where, path, label, name)
    text = json.dumps(entry, ensure_ascii=False)[:80]
    raise LatteError(f"{text} is not [path, label, class name]", where=where, hint=SHAPE)


class SplitDataset(ImageSource[SourceOptionsT]):
    """Dataset whose images, labels and class names come from the entries of a CoOp split file.

    Training images are those of train and val, evaluation images those of test, as LatteCLIP and
    its baselines read CoOp's splits. Classes are ordered by label; their names come from the
    labelled entries. Split files are untrusted, so their paths must stay below the root.

    Example:
        >>> from latte.api import SourceOptions
        >>> from latte.api.sources import SplitDataset, read_splits
        >>> class Pets(SplitDataset[SourceOptions]):
        ...     def __init__(self, options, context):
        ...         file = context.path("split.json")
        ...         splits, root = read_splits(file), context.path("images")
        ...         super().__init__(
        ...             options, context, splits, file=file, root=root, spell=str.lower
        ...         )
    """

    lists_quickly: ClassVar[bool] = True

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
        """Use `splits`, which were read from `file`; `spell` converts class names."""
        self._file, self._root = file, root
        self._train, self._test = splits["train"] + splits["val"], splits["test"]
        names = splits.names_by_label()
        self._labels = {label: index for index, label in enumerate(names)}
        spelled_names = [(spell(entry.name), entry.where) for entry in names.values()]
        for name, where in spelled_names:
            if not name.strip():
                raise LatteError("a class has an empty name", where=where)
        super().__init__(options, context, [(name,) for name in distinct(spelled_names, str(file))])

    def training_images(self) -> Sequence[ImageReference]:
        """Return the images of train and val, sorted by id."""
        return by_id([image for image, _ in self._listed_training])

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the labelled images of test, sorted by id."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """Return the labels of train and val by image id, for entries that have a label."""
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
        labelled_images = []
        for image, entry in self._listed(self._test):
            if entry.label is None:
                raise LatteError(
                    "an image of the test split has no label", where=entry.where, hint=SHAPE
                )
            labelled_images.append(LabelledImage(image, self._labels[entry.label]))
        self.refuse_overlap(labelled_images, str(self._file))
        return labelled_by_id(labelled_images)

    def _listed(self, entries: Sequence[Entry]) -> list[tuple[ImageReference, Entry]]:
        paths = ListedPaths(self._root, absolute=False)
        listed_entries = [(paths.reference(entry.path, entry.where), entry) for entry in entries]
        images = unique([(image, entry.where) for image, entry in listed_entries])
        refuse_all_missing(images, self._root, str(self._file))
        return listed_entries
