"""Gates: which of the texts that a describer wrote are not fit to teach anything?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.descriptions import Scope


@dataclass(frozen=True)
class GatedText:
    """One text of a description, as a describer wrote it."""

    text: str
    """One printable line; never empty."""
    class_name: str
    """The frozen pseudo-label of the images that it is about."""
    prompt: str
    """The question that it answers."""


@dataclass(frozen=True)
class GateSubject:
    """What all texts that are judged together have in common."""

    description: str
    """The description's name in the recipe."""
    scope: Scope
    """`image` or `group`: texts of scope `class` are the recipe's own, and are not judged."""
    class_names: tuple[str, ...]
    """All classes, in label order."""


@dataclass(frozen=True)
class HeldBack:
    """What one gate did to one description."""

    description: str
    """Names in the recipe."""
    gate: str
    texts: int
    """How many texts the description had before the first gate."""
    held_back: int
    """How many of them this gate held back, of those that earlier gates had let pass."""
    reason: str | None = None
    """Of the first text that it held back; None where there is none."""
    example: str | None = None
    """That text."""


class Gate(Component[OptionsT]):
    """Judges texts after they were written and before they are used; it never changes one.

    A text that is held back counts as none, as if the describer had refused it. It stays in the
    store: with other gates it may be used, and nobody is asked again.
    """

    @abstractmethod
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> Sequence[str | None]:
        """For each text, in order: None lets it pass; a clause of a few words says why not.

        `texts` are the answers to all distinct questions of one description, without those that
        earlier gates held back, so that a gate can compare them. The same texts must get the same
        verdicts; whatever was judged before must not matter.
        """
