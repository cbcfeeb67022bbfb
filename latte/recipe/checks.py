"""Checks that concern several parts of a recipe: required packages, labels, and describers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from packaging.requirements import InvalidRequirement, Requirement

from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.recipe.layout import BUDGET, DESCRIBERS, ONE_DESCRIBER, ORACLE
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Choice
from latte.recipe.node import KeyPath, Node
from latte.registry.spec import BY

Listed: TypeAlias = tuple[Choice, KeyPath]
"""Component in a list of the recipe, and its key path."""


def check_requirement(text: str) -> None:
    """Raise `LatteError` if the package that `text` names is missing or has another version."""
    requirement = _parsed(text)
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


def _parsed(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        raise LatteError(
            f'"{text}" is not a package with a range of versions',
            hint='As in: requires: ["latte-tiny>=0.1,<1"]',
        )
    return requirement


def oracle_options(choice: Choice) -> list[str]:
    """Return the names of a component's options that are set and use ground-truth labels."""
    options = choice.options
    return [key for key in options.oracle_options if getattr(options, key) is not None]


def refuse_labels(choice: Choice, path: KeyPath, root: Node, mistakes: Mistakes) -> None:
    """Report each option of the component at `path` that needs `oracle: true`."""
    for key in oracle_options(choice):
        mistakes.add_at(
            root,
            (*path, key),
            f'"{key}" uses ground-truth labels of training images, and {ORACLE}: true is missing',
            f'Add {ORACLE}: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )


def refuse_unused(choices: Iterable[Choice], root: Node, mistakes: Mistakes) -> None:
    """Report `oracle: true` if no option uses labels: it would mark results without a reason."""
    if not any(map(oracle_options, choices)):
        mistakes.add_at(
            root,
            (ORACLE,),
            f"{ORACLE} is true, and nothing here uses ground-truth labels of training images",
            f"Write {ORACLE}: false, or set correct: NUMBER of a group description.",
        )


def resolve_describers(
    root: Node, descriptions: Sequence[Listed], describers: Sequence[Listed], mistakes: Mistakes
) -> list[Listed]:
    """Return `descriptions`, each with `by` set to None if it names the first of `describers`.

    Reports descriptions that name an unknown describer, or need one in a recipe without describers.
    """
    _refuse_both(root, mistakes)
    if _are_incomplete(root, describers):
        return [*descriptions]
    labels = [choice.label for choice, _ in describers]
    if not labels:
        _require_describer(root, descriptions, mistakes)
        return [*descriptions]
    return [(_checked(choice, labels, root, path, mistakes), path) for choice, path in descriptions]


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
        mistakes.add_at(root, asking[1][1], what, "Remove one of them.")
    if not known:
        what = f'"{choice.label}" asks questions about images, and there is no describer'
        mistakes.add_at(root, path, what, "Add one that answers: latte components describer")
    elif name and name not in known:
        what = f'no describer of this recipe is called "{name}"'
        hint = suggestion(name, known, "Its describers")
        mistakes.add_at(root, (*path, ONE_DESCRIBER), what, hint)
    budget = root.child(BUDGET)
    if budget is None or budget.value is None:
        what = f'"{choice.label}" asks questions, and the key "{BUDGET}" is missing'
        hint = f"Add the largest number of questions, as in {BUDGET}: 300."
        mistakes.add_at(root, path, what, hint)


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
    """Return true if a describer was refused; unknown describers are then not reported."""
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
    """Report a wrong `by`; return the description, with `by` None for the first of `labels`."""
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
