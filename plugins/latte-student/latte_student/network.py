"""Models of timm: build one with as many classes as a run, and load weights from a local file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from latte.api import LatteError, PixelFormat, check_model_file, did_you_mean, error_line

_SOURCE = "timm:"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
LARGEST_WEIGHTS = 2**32
"""Largest number of bytes of a file with weights."""


@dataclass(frozen=True)
class Network:
    """A network that maps normalised pixels (B, 3, S, S) to logits (B, C)."""

    module: nn.Module
    pixel_format: PixelFormat


def build_network(student: str, classes: int, size: int | None, weights: Path | None) -> Network:
    """Return the model `timm:NAME` for images of `size` pixels per side, or of its usual size.

    Without `weights`, it starts from random weights, which torch's generator draws. Raises
    `LatteError` if timm has no such model, or the weights do not fit.
    """
    name = known_name(student)
    try:
        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
        config = cast("Mapping[str, Any]", module.pretrained_cfg)
        pixel_format = _pixel_format(config, size)
        with torch.no_grad():
            shape = module.eval()(torch.zeros(1, 3, pixel_format.size, pixel_format.size)).shape
    except Exception as error:  # timm raises many types
        where = f"--student {student}"
        raise LatteError(f"timm cannot build it: {error_line(error)}", where=where) from error
    if shape != (1, classes):
        raise LatteError(
            f"it gives no score per class, but {tuple(shape)}", where=f"--student {student}"
        )
    if weights is not None:
        load_weights(module, weights, str(config.get("classifier") or "head"))
    return Network(module, pixel_format)


def known_name(student: str) -> str:
    """Return the name in `timm:NAME`. Raises `LatteError` with the nearest name for another."""
    name, where = student.removeprefix(_SOURCE), f"--student {student}"
    if not student.startswith(_SOURCE):
        hint = f"write {_SOURCE}{student}" if timm.is_model(name) else "as in timm:resnet18"
        raise LatteError("a student is named timm:NAME", where=where, hint=hint)
    if not _PLAIN_NAME.fullmatch(name) or not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models()) or "all names: timm.list_models()"
        what = f'timm {timm.__version__} has no model "{name}"'
        raise LatteError(what, where=where, hint=hint)
    return name


def load_weights(module: nn.Module, path: Path, classifier: str) -> None:
    """Fill `module` with the weights in a file, except its classifier, whose classes differ.

    If the names in the file are other than timm's, tensors are assigned in their order; all shapes
    must be equal. `classifier` is the beginning of the classifier's names. Raises `LatteError` if
    the weights do not fit.
    """
    given = read_weights(path)
    expected = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if not name.startswith(f"{classifier}.")
    }
    renamed = given
    if not expected.keys() <= given.keys():
        renamed = dict(zip(expected, given.values(), strict=False))
    for name, tensor in expected.items():
        problem = None
        if name not in renamed:
            problem = f"{name} is missing"
        elif renamed[name].shape != tensor.shape:
            shapes = f"{tuple(renamed[name].shape)}, not {tuple(tensor.shape)}"
            problem = f"{name} has the shape {shapes}"
        if problem:
            raise LatteError(
                f"these weights do not fit the model: {problem}",
                where=f"--weights {path}",
                hint="name the model that they were saved from with --student",
            )
    module.load_state_dict({name: renamed[name] for name in expected}, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of safetensors, or of torch's file of weights alone."""
    where = f"--weights {path}"
    check_model_file(path, where, LARGEST_WEIGHTS)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        tensors = {str(name): value for name, value in content.items()}
        if not all(isinstance(value, Tensor) for value in tensors.values()):
            raise ValueError("it has values that are no tensors")
    except Exception as error:  # torch and safetensors raise many types for a damaged file
        raise LatteError(f"no weights can be read: {error_line(error)}", where=where) from error
    return tensors


def _pixel_format(config: Mapping[str, Any], size: int | None) -> PixelFormat:
    """Return how a model of timm takes images; the shorter side gets the model's size."""
    _, height, _ = config["input_size"]
    red, green, blue = config["mean"]
    red_std, green_std, blue_std = config["std"]
    side = size if size and not config.get("fixed_input_size") else int(height)
    return PixelFormat(side, (red, green, blue), (red_std, green_std, blue_std))
