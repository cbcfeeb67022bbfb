"""Names of classes that a person changes or adds while answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latte.data.sources.class_lookup import ALIAS_SEPARATOR, CLASS_FOLDERS, loosely
from latte.interfaces import LatteError
from latte.interfaces.questions import CANNOT_TELL, NONE_OF_THESE
from latte.io.redaction import one_line
from latte.results.run import Run
from latte.results.taught_runs import other_label_files

_SIGNS = (";", ALIAS_SEPARATOR.strip(), "${")
"""Signs with a meaning in a list of class names, or in a recipe."""
_HINT = "to change it, edit the list, and make the run again"


def why_fixed(run: Run) -> str:
    """Return why the class names of a run cannot change, as one sentence; empty if they can.

    They can where they stand in the list of the recipe's dataset alone.
    """
    dataset = run.recipe.get("dataset")
    options: Mapping[str, Any] = dataset if isinstance(dataset, Mapping) else {}
    if not isinstance(options.get("classes"), str | list | tuple):
        return "The dataset of this run gives the class names."
    if options["classes"] == CLASS_FOLDERS:
        return "The folders of the photos give the class names."
    if options.get("evaluation"):
        return "The labels of the test images name the classes."
    if options.get("texts") or run.recipe.get("descriptions"):
        return "The descriptions of this run name the classes."
    if other_label_files(run):
        return "The labels in your files name the classes."
    return ""


def changed_names(
    run: Run, class_names: Sequence[str], label: int | None, name: str
) -> tuple[str, ...]:
    """Return the list with another name of class `label`, or with a new class if that is None.

    Raises `LatteError` for a name that a list of classes cannot have, and if the list is fixed.
    """
    if why := why_fixed(run):
        raise LatteError(f"this list cannot change: {why[0].lower()}{why[1:-1]}", hint=_HINT)
    if label is not None and label not in range(len(class_names)):
        raise LatteError("there is no such class", hint="load the page again")
    others = [other for place, other in enumerate(class_names) if place != label]
    text = _checked(name.strip(), others)
    if label is None:
        return (*class_names, text)
    return (*class_names[:label], text, *class_names[label + 1 :])


def _checked(name: str, others: Sequence[str]) -> str:
    """Return the name. Raises `LatteError` if a file of class names could not have it."""
    if not name:
        raise LatteError("a class needs a name", hint="type one")
    if not name.isprintable() or name.startswith("#") or any(sign in name for sign in _SIGNS):
        hint = "leave out signs for line ends, ; and | and a # at the beginning"
        raise LatteError(f'"{one_line(name)}" cannot be a class name', hint=hint)
    if loosely(name) in (NONE_OF_THESE, CANNOT_TELL):
        raise LatteError(f'"{name}" is an answer, and no class', hint="type another name")
    if taken := next((other for other in others if loosely(other) == loosely(name)), None):
        raise LatteError(f'there is a class "{taken}" already', hint="type another name")
    return name
