"""The public names: everything that a plugin or a user of latte as a library imports.

Importing this module does not import torch; the functions that need it come at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latte.data.options import SourceOptions
from latte.data.sources.classes import ClassLookup, read_class_names
from latte.describe.options import GroupOptions, ImageOptions
from latte.describe.types import GroupDescription, ImageDescription
from latte.interfaces import *  # noqa: F403
from latte.interfaces import __all__ as _interfaces
from latte.registry.spec import API_VERSION, CommandSpec, ComponentSpec, Kind, hookimpl
from latte.report.plain import without_secrets

if TYPE_CHECKING:
    from latte.adapt.centroids import CentroidPrototypes as CentroidPrototypes
    from latte.adapt.mixer import margin_weights as margin_weights
    from latte.adapt.mixer import mix as mix
    from latte.adapt.mixer import mix_descriptions as mix_descriptions

_WITH_TORCH = {
    "CentroidPrototypes": "latte.adapt.centroids",
    **dict.fromkeys(("margin_weights", "mix", "mix_descriptions"), "latte.adapt.mixer"),
}

__all__ = [
    *_interfaces,
    "API_VERSION",
    "ClassLookup",
    "CommandSpec",
    "ComponentSpec",
    "GroupDescription",
    "GroupOptions",
    "ImageDescription",
    "ImageOptions",
    "Kind",
    "SourceOptions",
    "hookimpl",
    "read_class_names",
    "without_secrets",
    *_WITH_TORCH,
]


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(_WITH_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
