"""Answers that a person gave about these images in earlier reviews, whichever run asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte.interfaces import Dataset, ImageReference
from latte.io.files import digest
from latte.io.paths import relative
from latte.report.numbers import plural
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

    def __str__(self) -> str:
        """Return the number of answers and their use in words."""
        place = relative(self.files[-1])
        answers = plural(self.count, "earlier answer")
        if self.why_not:
            return f"{answers} ({place}) cannot teach yet: {self.why_not}"
        return f"{answers} ({place}) {'teaches' if self.count == 1 else 'teach'}"


def files_of_answers(runs: Path, name: str) -> tuple[Path, ...]:
    """Return the files of answers in the folder `runs`: those of earlier versions, then `REVIEW`.

    Earlier versions wrote the answers into the folders of the runs with this name.
    """
    earlier = sorted(runs.glob(f"*/{REVIEW}"))
    files = [file for file in earlier if file.parent.name.rpartition("-")[0] == name]
    return tuple(file for file in [*files, runs / REVIEW] if file.is_file())


def earlier_answers(
    files: Sequence[Path], dataset: Dataset[Any], *, are_alone: bool
) -> EarlierAnswers | None:
    """Return the answers in the `files` about the images of the dataset; None if there are none.

    `are_alone` is True if no other labels teach. The contents of all images are read. Raises
    `LatteError` for a damaged file.
    """
    if not files:
        return None
    references = dataset.training_images()
    keys = dict(_content_keys(references))
    images = NamedImages(keys, lambda: references)
    names, aliases = dataset.class_names, dataset.class_aliases
    answers: dict[str, GivenLabel] = {}
    for file in files:
        answers |= read_labels(file, images, names, aliases)
    if not answers:
        return None
    labels = {key: entry.label for key, entry in answers.items() if entry.label is not None}
    useless = why_useless(labels, [*keys.values()], names, "") if are_alone else None
    return EarlierAnswers((*files,), len(answers), "" if useless is None else useless.what)


def _content_keys(references: Iterable[ImageReference]) -> Iterator[tuple[str, str]]:
    """Yield id and content key of each image that can be read."""
    for reference in references:
        with suppress(OSError):
            yield reference.id, digest(reference.read_bytes())
