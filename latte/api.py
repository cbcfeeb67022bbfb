"""The public names: everything that a plugin or a user of latte as a library imports.

Importing this module does not import torch; the functions that need it come at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latte.data.source_options import SourceOptions
from latte.data.sources.classes import ClassLookup, read_class_names
from latte.interfaces import *  # noqa: F403
from latte.interfaces import __all__ as _interfaces
from latte.io.redaction import without_secrets
from latte.registry.spec import API_VERSION, CommandSpec, ComponentSpec, Kind, hookimpl
from latte.toolkit.description_options import GroupOptions, ImageOptions
from latte.toolkit.description_types import GroupDescription, ImageDescription

if TYPE_CHECKING:
    from latte.toolkit.centroids import CentroidPrototypes as CentroidPrototypes
    from latte.toolkit.mixer import margin_weights as margin_weights
    from latte.toolkit.mixer import mix as mix
    from latte.toolkit.mixer import mix_descriptions as mix_descriptions

_WITH_TORCH = {
    "CentroidPrototypes": "latte.toolkit.centroids",
    **dict.fromkeys(("margin_weights", "mix", "mix_descriptions"), "latte.toolkit.mixer"),
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
