"""Named groups of a CLIP's parameters, for all kinds of towers that open_clip builds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from torch import nn

from latte.interfaces import LatteError, TrainableGroup

_VISUAL_PROJECTIONS = (
    "visual.proj",
    "visual.attnpool.c_proj",
    "visual.head.proj",
    "visual.head.mlp",
    "visual.head.pool.proj",
)
_TEXT_PROJECTIONS = ("text_projection", "text.text_projection", "text.proj")
_NEVER_TRAINED = ("logit_bias", "text_decoder")
"""Parameters that are never trained: the logit bias, and CoCa's captioner, which no loss uses."""


def parameters_of(model: nn.Module, group: TrainableGroup) -> dict[str, nn.Parameter]:
    """Return the parameters of `group` by name, in the model's order; empty if it is `none`.

    Raises `LatteError` if the model has no parameters in `group`.
    """
    names = set(_names(model, group))
    if not names and group != "none":
        raise LatteError(
            f"this backbone has no {_CONTENT[group]}",
            where="trainable",
            hint=f"train another group than {group}: {', '.join(_CONTENT)} or none",
        )
    return {name: weight for name, weight in model.named_parameters() if name in names}


_CONTENT: dict[TrainableGroup, str] = {
    "all": "parameters",
    "visual_layer_norms": "LayerNorm or BatchNorm in its image tower",
    "text_layer_norms": "LayerNorm in its text tower",
    "projections": "projection into the joint space",
}


def _names(model: Any, group: TrainableGroup) -> Iterable[str]:
    names = [name for name, _ in model.named_parameters()]
    match group:
        case "none":
            return ()
        case "all":
            unused_names = set(_below(names, _NEVER_TRAINED))
            return (name for name in names if name not in unused_names)
        case "visual_layer_norms":
            layer_norms = list(_affine(model.visual, "visual", nn.LayerNorm))
            return layer_norms or _affine(model.visual, "visual", nn.BatchNorm2d)
        case "text_layer_norms":
            towers = ("text",) if hasattr(model, "text") else ("transformer", "ln_final")
            names_by_tower = (
                _affine(getattr(model, tower), tower, nn.LayerNorm) for tower in towers
            )
            return chain.from_iterable(names_by_tower)
        case "projections":
            heads = list(_below(names, _VISUAL_PROJECTIONS)) or _classifier(model.visual)
            return (*heads, *_below(names, _TEXT_PROJECTIONS))


def _below(names: Iterable[str], roots: tuple[str, ...]) -> Iterator[str]:
    return (
        name for name in names if any(name == root or name.startswith(root + ".") for root in roots)
    )


def _affine(module: nn.Module, prefix: str, kind: type[nn.Module]) -> Iterator[str]:
    for path, layer in module.named_modules(prefix=prefix):
        if isinstance(layer, kind):
            yield from (name for name, _ in layer.named_parameters(path, recurse=False))


def _classifier(visual: Any) -> list[str]:
    """Return the parameter names of a timm tower's classifier layer, if it has one."""
    if not hasattr(visual, "trunk"):
        return []
    weights = {id(weight) for weight in visual.trunk.get_classifier().parameters()}
    return [name for name, weight in visual.named_parameters("visual") if id(weight) in weights]
