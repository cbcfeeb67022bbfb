"""Who writes the descriptions: one describer or several, and which description asks which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from latte.recipe.layout import ONE_DESCRIBER
from latte.recipe.mistakes import Mistakes, suggestion
from latte.recipe.model import Choice
from latte.recipe.node import KeyPath, Node
from latte.registry.spec import BY

DESCRIBERS = "describers"
DESCRIBER_KEYS = (ONE_DESCRIBER, DESCRIBERS)
"""A recipe has one of these keys at the most."""

Listed: TypeAlias = tuple[Choice, KeyPath]
"""A component of a list, and where it stands."""


def resolve_describers(
    root: Node, descriptions: Sequence[Listed], describers: Sequence[Listed], mistakes: Mistakes
) -> list[Listed]:
    """`descriptions` with `by` None where they ask the first of `describers`.

    Reports a description that has nobody to ask, or asks somebody who is not there.
    """
    _refuse_both(root, mistakes)
    if _are_incomplete(root, describers):
        return [*descriptions]
    labels = [choice.label for choice, _ in describers]
    if not labels:
        _require_describer(root, descriptions, mistakes)
        return [*descriptions]
    return [(_checked(choice, labels, root, path, mistakes), path) for choice, path in descriptions]


def _refuse_both(root: Node, mistakes: Mistakes) -> None:
    single, several = root.child(ONE_DESCRIBER), root.child(DESCRIBERS)
    if single is not None and single.value is not None and several is not None:
        mistakes.add(
            several.origin,
            (DESCRIBERS,),
            f'"{DESCRIBERS}" cannot stand beside "{ONE_DESCRIBER}"',
            f'Move the describer into the list, or remove "{DESCRIBERS}".',
        )


def _are_incomplete(root: Node, describers: Sequence[Listed]) -> bool:
    """Whether a describer is wrong, which was reported: others must not be blamed for it."""
    single, several = root.child(ONE_DESCRIBER), root.child(DESCRIBERS)
    written = 0 if single is None or single.value is None else 1
    if several is not None:
        written += len(several.value) if isinstance(several.value, list) else 1
    return written != len(describers)


def _require_describer(root: Node, descriptions: Sequence[Listed], mistakes: Mistakes) -> None:
    for choice, path in descriptions:
        if _scope(choice) in ("image", "group"):
            mistakes.add_at(
                root,
                path,
                f'"{choice.label}" is about images, and there is no describer to look at them',
                "Add describer: phrases, or another: latte components describer",
            )
            return


def _checked(
    choice: Choice, labels: Sequence[str], root: Node, path: KeyPath, mistakes: Mistakes
) -> Choice:
    """The description with `by` None for the first of `labels`."""
    if choice.by is None:
        return choice
    if _scope(choice) == "class":
        mistakes.add_at(
            root,
            (*path, BY),
            f'"{choice.label}" is about classes, and asks no describer',
            f'Remove "{BY}".',
        )
    elif choice.by not in labels:
        what = f'no describer of this recipe is called "{choice.by}"'
        mistakes.add_at(root, (*path, BY), what, suggestion(choice.by, labels, "Its describers"))
    return replace(choice, by=None) if choice.by == labels[0] else choice


def _scope(choice: Choice) -> str | None:
    return getattr(type(choice.options), "scope", None)
