"""Changes of a list of class names that a person made while answering, in the file of the answers.

A class keeps its place in the list when its name changes, and a new class comes last. So a change
is a list and the list in its place, and an answer finds its class by the list that the person could
choose from. Other lists of class names are not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from latte.io.files import digest


def digest_of_classes(class_names: Iterable[str]) -> str:
    """Return the digest of a list of class names, in any order."""
    return digest(*sorted(class_names))[:16]


@dataclass(frozen=True)
class ClassChange:
    """One line of `review.jsonl`: a list of class names, and the list in its place."""

    was: tuple[str, ...]
    names: tuple[str, ...]
    """The new list: a class has its place of before, and a new class comes last."""
    time: str
    """The time of the change, in UTC."""
    kind: Literal["classes"] = "classes"

    def __post_init__(self) -> None:
        """Raise `ValueError` unless both lists have distinct names, and no class went."""
        if any(len(set(names)) < len(names) for names in (self.was, self.names)):
            raise ValueError("a class name occurs twice")
        if len(self.names) < len(self.was):
            raise ValueError("a class is missing in the new list")

    @cached_property
    def classes(self) -> str:
        """Digest of the list before the change."""
        return digest_of_classes(self.was)

    @cached_property
    def new_classes(self) -> str:
        """Digest of the list after the change."""
        return digest_of_classes(self.names)

    @cached_property
    def new_name(self) -> Mapping[str, str]:
        """The name of each class after the change, by its name before."""
        return dict(zip(self.was, self.names, strict=False))

    @property
    def adds(self) -> bool:
        """True if the new list has another class."""
        return len(self.names) > len(self.was)


@dataclass(frozen=True)
class ClassChanges:
    """The changes in the files of a review, in their order."""

    changes: tuple[ClassChange, ...] = ()

    def current(self, class_names: Sequence[str]) -> tuple[str, ...]:
        """Return the list of class names with its changes; labels stay what they were."""
        names = tuple(class_names)
        for change in self.changes:
            if change.classes == digest_of_classes(names):
                added = change.names[len(change.was) :]
                names = (*(change.new_name[name] for name in names), *added)
        return names

    def current_answer(self, label: str | None, classes: str) -> tuple[str | None, str]:
        """Return an answer's label, and the digest of its list, after the changes of its list.

        A new class says nothing about an answer that none of the others fits (`label` is None). An
        answer without a digest is about every list.
        """
        for change in self.changes:
            is_known = classes == change.classes or (not classes and label in change.new_name)
            if not is_known or (label is None and change.adds):
                continue
            label = change.new_name.get(label, label) if label is not None else None
            classes = change.new_classes
        return label, classes
