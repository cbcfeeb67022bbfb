"""`environment.json`: what a run ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from latte import __version__, processes
from latte.recipe.model import Choice, Recipe

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "safetensors")


def describe_environment(recipe: Recipe, device: str) -> dict[str, Any]:
    """Versions, plugins, device and threads; no host or user name, no path, no secret."""
    import torch

    return {
        "latte": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": dict(
            sorted({one.distribution: one.version for one in _choices(recipe)}.items())
        ),
        "device": device,
        "device_name": _device_name(device),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "processes": processes.count(),
        "seed": recipe.general.seed,
    }


def _choices(recipe: Recipe) -> list[Choice]:
    learners = [
        one for learner in recipe.learners for one in (learner.prototypes, learner.loss) if one
    ]
    optional = [recipe.guard] if recipe.guard else []
    texts = (*recipe.describers, *recipe.descriptions, *recipe.gates)
    return [recipe.dataset, *optional, *texts, *recipe.labels, *recipe.reporters, *learners]


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
