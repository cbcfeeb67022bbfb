"""Encoders beside the CLIP in a proposed recipe: those that the user names, or that could help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from latte.interfaces import EncoderLoader, LatteError
from latte.new.methods import METHODS, ProposedMethod
from latte.new.models import Machine
from latte.recipe.component import find_component
from latte.registry.context import unbound_context
from latte.registry.registry import Registry
from latte.registry.spec import NAME, USE, Registered

_PACKAGE = "latte-encoders"
Keys = Mapping[str, str]
"""Keys of an encoder in a recipe: the component, and the model if the user named one."""


def encoder_keys(encoders: Sequence[str], registry: Registry) -> tuple[Keys, ...]:
    """Return the recipe keys of encoders, each written as NAME or as NAME:MODEL.

    Raises `LatteError` if no such encoder is installed, or if it needs a model.
    """
    keys: list[Keys] = []
    names: list[str] = []
    for text in encoders:
        name, _, model = text.partition(":")
        if not registry.all("encoder"):
            raise LatteError("no encoder is installed", hint=f"pip install {_PACKAGE}")
        registered = find_component(registry, "encoder", name)
        option = registry.options_model(registered).model_fields.get("model")
        if option is not None and option.is_required() and not model:
            raise LatteError(
                f"the encoder {name} needs the name of a model",
                hint=f"as in --encoder {name}:MODEL; latte components encoder {name}",
            )
        is_second = registered.spec.name in names
        label = {NAME: f"{registered.spec.name}-{len(keys) + 1}"} if is_second else {}
        names.append(registered.spec.name)
        keys.append({USE: name, **label, **({"model": model} if model else {})})
    return tuple(keys)


def refuse_other_method(method: ProposedMethod) -> None:
    """Raise `LatteError` if a method does not use encoders."""
    if not method.takes_encoders:
        takers = " or ".join(taker.name for taker in METHODS.values() if taker.takes_encoders)
        raise LatteError(
            f"the method {method.name} uses no encoder beside the CLIP",
            hint=f"--method {takers}",
        )


def encoder_reason(keys: Keys, images: int, machine: Machine, registry: Registry) -> str:
    """Return a line about an encoder that the user chose: its licence, and the time it takes."""
    name, model = keys[USE], keys.get("model")
    registered = find_component(registry, "encoder", name)
    shown = name if model is None else f"{name}:{model}"
    loader = _loader(registry, registered, {} if model is None else {"model": model})
    return f"encoder: {shown} beside the CLIP ({_cost(loader, images, machine)})"


def proposed_encoder(images: int, machine: Machine, registry: Registry) -> str | None:
    """Return a line that proposes an encoder that is on this machine; None if there is none.

    Only encoders that need no options are proposed.
    """
    for registered in registry.all("encoder"):
        with suppress(LatteError, OSError, ValueError):  # an encoder that cannot be used here
            model = registry.options_model(registered)
            if any(option.is_required() for option in model.model_fields.values()):
                continue
            loader = _loader(registry, registered, {})
            if loader.is_cached():
                name = registered.spec.name
                return (
                    f"a second encoder may help: {name} is on this machine "
                    f"({_cost(loader, images, machine)}); to use it: --encoder {name}"
                )
    return None


def _loader(
    registry: Registry, registered: Registered, options: Mapping[str, Any]
) -> EncoderLoader[Any]:
    values = registry.options_model(registered).model_validate(options)
    context = unbound_context(Path(), registry)
    return cast("EncoderLoader[Any]", registry.build(registered, values, context))


def _cost(loader: EncoderLoader[Any], images: int, machine: Machine) -> str:
    """Return the licence of an encoder, and the time in which it encodes the images."""
    licence = f"licence {loader.licence}" if loader.licence else "read its licence"
    if loader.seconds is None:
        return f"{licence}; it encodes all images once more"
    minutes = machine.minutes(images * loader.seconds)
    time = f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"
    return f"{licence}; it encodes the images in {time} more"
