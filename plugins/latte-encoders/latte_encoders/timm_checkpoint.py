"""Open a checkpoint of timm from its files, without running code of the checkpoint."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import load_file
from torch import Tensor, nn

from latte.api import LatteError, ModuleEncoder, PixelFormat
from latte_encoders.files import refuse_absurd

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_WEIGHTS = "model.safetensors"
_REFUSED = ("pretrained", "checkpoint_path", "cache_dir", "num_classes", "in_chans")
"""Beginnings of arguments of timm's `create_model` that a checkpoint may not set."""


def open_checkpoint(
    folder: Path, config: Mapping[str, Any], device: str, size: int | None, where: str
) -> ModuleEncoder:
    """Load the checkpoint in `folder`, frozen, in fp32, onto `device`.

    `config` is the JSON in its `config.json`. Images have `size` pixels per side, if given.
    Raises `LatteError` if timm cannot open the checkpoint; the error names `where`.
    """
    pretrained = config.get("pretrained_cfg")
    if not isinstance(pretrained, Mapping):
        raise LatteError(f"{folder / 'config.json'} has no key `pretrained_cfg`", where=where)
    pixel_format = _pixel_format(pretrained, size, where)
    arguments = _model_arguments(config, where)
    if pretrained.get("fixed_input_size"):
        arguments["img_size"] = pixel_format.size
    architecture = {"name": config["architecture"], "arguments": arguments}
    try:
        module = build(architecture)
        _load_weights(module, folder / _WEIGHTS, str(pretrained.get("classifier") or "head"))
        return ModuleEncoder(module.to(device), pixel_format, architecture)
    except LatteError as error:
        raise LatteError(error.what, where=where, hint=error.hint) from error
    except Exception as error:  # timm raises many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise LatteError(f"timm cannot load {folder.name}: {lines[-1]}", where=where) from error


def _model_arguments(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments of the architecture, without number of classes and of channels.

    Raises `LatteError` if the model takes other images than RGB, or does not pool its features.
    """
    arguments = dict(config.get("model_args") or {})
    arguments.pop("num_classes", None)
    channels = arguments.pop("in_chans", 3)
    if channels != 3:
        hint = "latte gives an encoder RGB images"
        raise LatteError(f"it takes images with {channels} channels", where=where, hint=hint)
    if arguments.get("global_pool") == "":
        hint = "save it with pooling, such as global_pool='avg'"
        raise LatteError("it has no pooled features", where=where, hint=hint)
    return arguments


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """Return a model of timm with pooled features in place of classes, and random weights.

    Raises `LatteError` for a name or an argument that could load other files, or fill memory.
    """
    name, arguments = str(architecture["name"]), dict(architecture["arguments"])
    refuse_absurd(arguments, name)
    if not _PLAIN_NAME.fullmatch(name) or not timm.is_model(name):
        raise LatteError(
            f"timm {timm.__version__} has no architecture {name}",
            hint="upgrade timm, or use another model",
        )
    refused = [key for key in arguments if key.startswith(_REFUSED)]
    if refused:
        raise LatteError(f"the configuration of {name} sets {refused[0]}, which latte refuses")
    module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **arguments)
    return module


def _load_weights(module: nn.Module, path: Path, classifier: str) -> None:
    """Fill `module` with the weights in the file `path`, without those of its `classifier`.

    Raises `LatteError` if a weight is missing.
    """
    weights: Mapping[str, Tensor] = load_file(path)
    # Changes the names in published checkpoints, and interpolates positions to other image sizes.
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        weights = convert(dict(weights), module)
    expected = module.state_dict()
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    unknown = [name for name in unknown if not name.startswith((classifier, "head"))]
    if missing or unknown:
        name, problem = (missing[0], "is missing") if missing else (unknown[0], "is unknown")
        raise LatteError(
            f"the weights do not fit the architecture: {name} {problem}",
            hint="download the whole model again",
        )
    module.load_state_dict({name: weights[name] for name in expected})


def _pixel_format(pretrained: Mapping[str, Any], size: int | None, where: str) -> PixelFormat:
    """Return how timm's own evaluation transform prepares images."""
    try:
        channels, height, width = pretrained["input_size"]
        red, green, blue = (float(value) for value in pretrained["mean"])
        std_red, std_green, std_blue = (float(value) for value in pretrained["std"])
        interpolation, crop = pretrained["interpolation"], float(pretrained["crop_pct"])
        mode = pretrained.get("crop_mode") or "center"
    except (KeyError, TypeError, ValueError) as error:
        raise LatteError(
            f"its pretrained_cfg does not say how images are prepared ({error})", where=where
        ) from error
    is_known = interpolation in ("bicubic", "bilinear") and mode in ("center", "squash")
    if channels != 3 or height != width or not is_known or not 0 < crop <= 1:
        raise LatteError(
            "it prepares images in a way that latte does not",
            where=where,
            hint="latte resizes (bilinear or bicubic), cuts the centre out, and normalises",
        )
    side = size or int(height)
    resized = math.floor(side / crop)
    is_squashed = mode == "squash" and resized == side
    return PixelFormat(
        size=side,
        mean=(red, green, blue),
        std=(std_red, std_green, std_blue),
        interpolation=interpolation,
        resize_mode="squash" if is_squashed else "shortest",
        short_side=None if resized == side else resized,
    )
