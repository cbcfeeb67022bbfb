"""The identity of a run: the hash in its folder's name, and the inputs of its stages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latte.io.files import digest_json
from latte.recipe.component import ChosenComponent
from latte.recipe.model import BACKBONE, Recipe
from latte.registry.discovery import plugin_code
from latte.registry.spec import Kind

NOT_IDENTITY = (
    "output",
    "device",
    "reporters",
    "controls",
    "requires",
    "evaluate",
    "series",
    "spending",
)
"""Recipe keys that change place, speed, cost or reports of a run, but not its models, except that
`series` changes how answers are left out."""
_NOT_HASHED = (*NOT_IDENTITY, "guard")
"""Keys that are not part of the run ID. The guard chooses among the models of one run folder."""


@dataclass(frozen=True)
class RunInputs:
    """All that determines the results of a run, apart from the code of latte."""

    recipe: Recipe
    images: str
    """Fingerprint of the images: their ids, contents and order."""
    backbone: str
    """Identity of the backbone; see `BackboneLoader.identity`."""
    encoders: Sequence[str] = ()
    """Identity of each of the recipe's encoders."""
    true_labels: Sequence[int] | None = None
    """True classes of the training images; None if the run uses none."""
    given_labels: Sequence[int | float] | None = None
    """Classes that a person gave to the training images and examples, and answers of a model; None
    if the run has none."""
    series: Sequence[str | None] = ()
    """Name of the series of each image, where a table or the dataset gives it. Series decide which
    answers are left out together, and never what a model learns."""


def run_hash(recipe: Recipe, limit: int | None) -> str:
    """Return the run ID: eight hex digits that change with all settings that affect the models."""
    keys = {name: value for name, value in recipe.resolved.items() if name not in _NOT_HASHED}
    return digest_json({"recipe": keys, "limit": limit})[:8]


def component_inputs(recipe: Recipe, kinds: Collection[Kind]) -> list[Mapping[str, Any]]:
    """Return the recipe's components of these kinds, with their options, as JSON data."""
    return [_component(choice) for choice in recipe.choices if choice.spec.kind in kinds]


def code_of(recipe: Recipe, kinds: Collection[Kind] | None = None) -> dict[str, str]:
    """Return digests of the code of plugins that provide components, by package.

    `kinds` are the kinds of the components; None means all. See `plugin_code`.
    """
    choices = [choice for choice in recipe.choices if kinds is None or choice.spec.kind in kinds]
    return {choice.distribution: code for choice in choices if (code := plugin_code(choice))}


def _component(choice: ChosenComponent) -> Mapping[str, Any]:
    code = plugin_code(choice)
    component = {
        "kind": choice.spec.kind,
        "name": f"{choice.distribution}/{choice.spec.name}",
        "version": choice.version,
        "label": choice.label,
        "by": choice.by,
        **({} if code is None else {"code": code}),
    }
    if choice.spec.kind == BACKBONE:  # its options may name a file: `RunInputs.backbone` counts
        return component
    return {**component, "options": choice.options.model_dump(mode="json")}
