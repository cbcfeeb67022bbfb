"""Where the starting weights come from, and under which licence, as far as latte can know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HUB = "hf-hub:"
_LICENCES = {"laion/CLIP-": "mit"}
"""By the beginning of a repository's name; only those whose publishers say it of all of them."""


@dataclass(frozen=True)
class StartingModel:
    """The CLIP that a recipe starts from."""

    repository: str | None
    """Its name on the Hugging Face hub; None for models in folders and in plugins."""
    licence: str | None
    """A hub's short name of it; None where latte does not know."""


def starting_model(recipe: Mapping[str, Any]) -> StartingModel:
    """What is known of the backbone of a resolved `recipe`."""
    backbone = recipe.get("backbone")
    backbone = backbone if isinstance(backbone, Mapping) else {}
    repository = _repository(str(backbone.get("model", "")), backbone.get("pretrained"))
    licences = (
        licence
        for start, licence in _LICENCES.items()
        if repository is not None and repository.startswith(start)
    )
    return StartingModel(repository, next(licences, None))


def _repository(model: str, pretrained: object) -> str | None:
    if model.startswith(_HUB):
        return model.removeprefix(_HUB)
    if ":" in model or not isinstance(pretrained, str):
        return None
    from open_clip.pretrained import get_pretrained_cfg

    found = get_pretrained_cfg(model.replace("/", "-"), pretrained) or {}
    return str(found.get("hf_hub") or "").strip("/") or None
