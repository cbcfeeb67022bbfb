"""The mark of runs that used ground-truth labels of their training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latte.report.headline import ADAPTED
from latte.report.plain import one_line

STATEMENT = (
    "group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)


def is_oracle(recipe: Mapping[str, Any]) -> bool:
    """Whether the resolved `recipe` itself, apart from its controls, uses labels."""
    return recipe.get("oracle") is True


def oracle_note(recipe: Mapping[str, Any]) -> str | None:
    """The line that marks a run; None where neither the recipe nor a control uses labels.

    It names the oracles where some of the run's models are none.
    """
    models = _models(recipe)
    oracles = [one_line(name) for name, uses_labels in models.items() if uses_labels]
    if not oracles:
        return None
    named = "" if len(oracles) == len(models) else f" ({', '.join(oracles)})"
    return f"Oracle{named}: {STATEMENT}"


def _models(recipe: Mapping[str, Any]) -> dict[str, bool]:
    """The adapted model and the controls by name: does it use labels?"""
    written = recipe.get("controls")
    controls = written if isinstance(written, Mapping) else {}
    own = is_oracle(recipe)
    return {ADAPTED: own} | {
        str(name): is_oracle({"oracle": own, **control}) for name, control in controls.items()
    }
