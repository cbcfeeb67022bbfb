"""Answers that a person gave about these images in earlier reviews, whichever run asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from latte.data.sources.class_lookup import ALIAS_SEPARATOR
from latte.interfaces import Dataset, ImageReference
from latte.io.files import digest
from latte.io.paths import relative, some
from latte.report.numbers import plural
from latte.results.answers import read_class_changes
from latte.results.folder import REVIEW
from latte.results.given_labels import GivenLabel, read_labels, why_useless
from latte.results.named_images import NamedImages


@dataclass(frozen=True)
class EarlierAnswers:
    """The answers about a person's images in the files of earlier reviews."""

    files: tuple[Path, ...]
    """The files, the one with the newest answers last."""
    count: int
    """Number of images whose answer names a class, or says that none fits."""
    why_not: str = ""
    """Why the answers cannot teach; empty if they can."""
    classes: tuple[str, ...] = ()
    """Each class as a recipe lists it, with the changes that the person made while answering; empty
    if there are none."""
    changes: str = ""
    """These changes in words."""

    def __str__(self) -> str:
        """Return the number of answers and their use in words."""
        place = relative(self.files[-1])
        answers = plural(self.count, "earlier answer")
        if self.why_not:
            return f"{answers} ({place}) cannot teach yet: {self.why_not}"
        return f"{answers} ({place}) {'teaches' if self.count == 1 else 'teach'}{self.changes}"


def files_of_answers(runs: Path, name: str) -> tuple[Path, ...]:
    """Return the files of answers in the folder `runs`: those of earlier versions, then `REVIEW`.

    Earlier versions wrote the answers into the folders of the runs with this name.
    """
    earlier = sorted(runs.glob(f"*/{REVIEW}"))
    files = [file for file in earlier if file.parent.name.rpartition("-")[0] == name]
    return tuple(file for file in [*files, runs / REVIEW] if file.is_file())


def earlier_answers(
    files: Sequence[Path], dataset: Dataset[Any], *, are_alone: bool, follows: bool = False
) -> EarlierAnswers | None:
    """Return the answers in the `files` about the images of the dataset; None if there are none.

    `are_alone` is True if no other labels teach. If `follows` is true, the list of classes gets the
    changes that the person made while answering. The contents of all images are read. Raises
    `LatteError` for a damaged file.
    """
    if not files:
        return None
    references = dataset.training_images()
    keys = dict(_content_keys(references))
    images = NamedImages(keys, lambda: references)
    names, aliases = tuple(dataset.class_names), dataset.class_aliases
    new_names = read_class_changes(files).current(names) if follows else names
    if new_names != names:
        aliases = _followed(aliases, new_names)
    answers: dict[str, GivenLabel] = {}
    for file in files:
        answers |= read_labels(file, images, new_names, aliases)
    if not answers:
        return None
    labels = {key: entry.label for key, entry in answers.items() if entry.label is not None}
    useless = why_useless(labels, [*keys.values()], new_names, "") if are_alone else None
    earlier = EarlierAnswers((*files,), len(answers), "" if useless is None else useless.what)
    if new_names == names:
        return earlier
    entries = tuple(map(ALIAS_SEPARATOR.join, aliases))
    return replace(earlier, classes=entries, changes=_in_words(names, new_names))


def _followed(aliases: Sequence[Sequence[str]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all names of each class; a class with another name has that alone."""
    named_entries = zip_longest(aliases, names, fillvalue=())
    return [
        tuple(entry) if entry and entry[0] == name else (str(name),)
        for entry, name in named_entries
    ]


def _in_words(names: Sequence[str], new_names: Sequence[str]) -> str:
    pairs = zip(names, new_names, strict=False)
    renamed = [f"{name} is now {new}" for name, new in pairs if name != new]
    added = [f"{name} is a class, too" for name in new_names[len(names) :]]
    return f"; as in your review, {some([*renamed, *added])}"


def _content_keys(references: Iterable[ImageReference]) -> Iterator[tuple[str, str]]:
    """Yield id and content key of each image that can be read."""
    for reference in references:
        with suppress(OSError):
            yield reference.id, digest(reference.read_bytes())
