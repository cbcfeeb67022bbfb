"""Oracle recipes: ablations in which descriptions use true labels of training images.

The labels that a run reads for the key `oracle` are here, and the words with which reports mark its
results; `latte.recipe.oracle` has the rule that a recipe keeps. Where the labels lead to groups of
images, the stage `describe` calls them true labels and knows no recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latte.interfaces import LatteError
from latte.io.redaction import one_line

ORACLE_STATEMENT = (
    "group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)


def is_oracle(recipe: Mapping[str, Any]) -> bool:
    """Return True if `recipe` uses true labels of training images; control runs are ignored.

    Example:
        >>> from latte.api.runs import is_oracle
        >>> is_oracle({"oracle": True})
        True
    """
    return recipe.get("oracle") is True


def oracle_labels(
    recipe: Mapping[str, Any],
    read_true_labels: Callable[[], Mapping[str, int]],
    ids: Sequence[str],
) -> list[int] | None:
    """Return the labels of the images `ids` that `recipe` may use; None without `oracle: true`.

    Raises `LatteError` if there is no true label of one of the images.
    """
    if not is_oracle(recipe):
        return None
    true_labels = read_true_labels()
    unlabelled = [id_ for id_ in ids if id_ not in true_labels]
    if unlabelled:
        raise LatteError(
            f"this recipe is an oracle, and {len(unlabelled)} of {len(ids)} training images have "
            f"no label, such as {unlabelled[0]}",
            where="dataset",
            hint="use a dataset whose training images are labelled, or take `oracle` and the "
            "options that need it out of the recipe",
        )
    return [true_labels[id_] for id_ in ids]


def oracle_mark(recipe: Mapping[str, Any]) -> str | None:
    """Return a sentence that names the models which used true labels; None if none did."""
    controls = recipe.get("controls")
    is_own = is_oracle(recipe)
    uses_labels = {"adapted": is_own} | {
        one_line(str(name)): is_oracle({"oracle": is_own, **control})
        for name, control in (controls.items() if isinstance(controls, Mapping) else ())
    }
    oracles = [name for name, oracle in uses_labels.items() if oracle]
    if not oracles:
        return None
    which = "" if len(oracles) == len(uses_labels) else f" ({', '.join(oracles)})"
    return f"Oracle{which}: {ORACLE_STATEMENT}"


def use_of_true_labels(recipe: Mapping[str, Any]) -> str:
    """Return what true labels of training images were used for, after the words `true labels`."""
    return "chose groups and nothing else here" if is_oracle(recipe) else "reach no training"
