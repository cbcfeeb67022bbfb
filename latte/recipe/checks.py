"""Checks that concern several parts of a recipe: required packages, labels, and describers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TypeAlias

from packaging.requirements import InvalidRequirement, Requirement

from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Choice
from latte.recipe.node import KeyPath, Node
from latte.registry.spec import BY

Listed: TypeAlias = tuple[Choice, KeyPath]
"""Component in a list of the recipe, and its key path."""


def check_requirement(text: str) -> None:
    """Raise `LatteError` if the package that `text` names is missing or has another version."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        raise LatteError(
            f'"{text}" is not a package with a range of versions',
            hint='As in: requires: ["latte-tiny>=0.1,<1"]',
        )
    if requirement.marker and not requirement.marker.evaluate():
        return
    install = f'pip install "{requirement.name}{requirement.specifier}"'
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        raise LatteError(
            f"this recipe needs {requirement.name}, which is not installed", hint=install
        ) from None
    if not requirement.specifier.contains(installed, prereleases=True):
        raise LatteError(
            f"this recipe needs {requirement.name} {requirement.specifier}, "
            f"and {installed} is installed",
            hint=install,
        )


def check_oracle(is_allowed: bool, descriptions: Sequence[Listed], mistakes: Mistakes) -> None:
    """Report options that use ground-truth labels without `oracle: true`, or a needless one.

    Only descriptions have such options. A needless `oracle: true` would mark results without a
    reason; it is reported only if nothing else is wrong, such as a description left out here.
    """
    paths = [
        (*path, key)
        for choice, path in descriptions
        for key in choice.options.oracle_options
        if getattr(choice.options, key) is not None
    ]
    if is_allowed and not paths and not mistakes.found:
        mistakes.add_at(
            ("oracle",),
            "oracle is true, and nothing here uses ground-truth labels of training images",
            "Write oracle: false, or set correct: NUMBER of a group description.",
        )
    for path in paths if not is_allowed else ():
        mistakes.add_at(
            path,
            f'"{path[-1]}" uses ground-truth labels of training images, and oracle: true is '
            "missing",
            f'Add oracle: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )


def resolve_describers(
    root: Node, descriptions: Sequence[Listed], describers: Sequence[Listed], mistakes: Mistakes
) -> list[Listed]:
    """Return `descriptions`, each with `by` set to None if it names the first of `describers`.

    Reports descriptions that name an unknown describer, or need one in a recipe without describers.
    """
    single, several = root.child("describer"), root.child("describers")
    if single is not None and single.value is not None and several is not None:
        mistakes.add_at(
            ("describers",),
            '"describers" cannot stand beside "describer"',
            'Move the describer into the list, or remove "describers".',
        )
    if _are_incomplete(root, describers):
        return [*descriptions]
    labels = [choice.label for choice, _ in describers]
    if labels:
        return [(_checked(choice, labels, path, mistakes), path) for choice, path in descriptions]
    asking = (one for one in descriptions if _scope(one[0]) in ("image", "group"))
    for choice, path in islice(asking, 1):
        mistakes.add_at(
            path,
            f'"{choice.label}" is about images, and there is no describer to look at them',
            "Add describer: phrases, or another: latte components describer",
        )
    return [*descriptions]


def check_questions(
    root: Node, labels: Sequence[Listed], describers: Sequence[Listed], mistakes: Mistakes
) -> None:
    """Report labelers that ask questions, if they have no describer or no budget."""
    asking = [(choice, path) for choice, path in labels if choice.options.questions_to is not None]
    if not asking or _are_incomplete(root, describers):
        return
    choice, path = asking[0]
    name, known = choice.options.questions_to, [one.label for one, _ in describers]
    if len(asking) > 1:
        what = "only one labeler of a recipe may ask questions, as there is one budget"
        mistakes.add_at(asking[1][1], what, "Remove one of them.")
    if not known:
        what = f'"{choice.label}" asks questions about images, and there is no describer'
        mistakes.add_at(path, what, "Add one that answers: latte components describer")
    elif name and name not in known:
        what = f'no describer of this recipe is called "{name}"'
        hint = suggestion(name, known, "Its describers")
        mistakes.add_at((*path, "describer"), what, hint)
    budget = root.child("budget")
    if budget is None or budget.value is None:
        what = f'"{choice.label}" asks questions, and the key "budget" is missing'
        hint = "Add the largest number of questions, as in budget: 300."
        mistakes.add_at(path, what, hint)


def _are_incomplete(root: Node, describers: Sequence[Listed]) -> bool:
    """Return true if a describer was refused; unknown describers are then not reported."""
    single, several = root.child("describer"), root.child("describers")
    written = 0 if single is None or single.value is None else 1
    if several is not None:
        written += len(several.value) if isinstance(several.value, list) else 1
    return written != len(describers)


def _checked(choice: Choice, labels: Sequence[str], path: KeyPath, mistakes: Mistakes) -> Choice:
    """Report a wrong `by`; return the description, with `by` None for the first of `labels`."""
    if choice.by is None:
        return choice
    if _scope(choice) == "class":
        what = f'"{choice.label}" is about classes, and asks no describer'
        mistakes.add_at((*path, BY), what, f'Remove "{BY}".')
    elif choice.by not in labels:
        what = f'no describer of this recipe is called "{choice.by}"'
        mistakes.add_at((*path, BY), what, suggestion(choice.by, labels, "Its describers"))
    return replace(choice, by=None) if choice.by == labels[0] else choice


def _scope(choice: Choice) -> str | None:
    return getattr(type(choice.options), "scope", None)
