"""Names, repositories and licences of open_clip's models and weights. Does not import torch."""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

_ALONE = "_latte_open_clip"
"""Name of an empty package that stands in for open_clip, because importing open_clip is slow."""
_SLOW_IMPORTS = ("huggingface_hub", "safetensors.torch")
"""Slow imports of `open_clip.pretrained` that are not needed to read its tables of weights."""
_CONFIG_KEYS = {"embed_dim", "vision_cfg", "text_cfg"}


def model_names() -> list[str]:
    """Return the names of all models of open_clip."""
    folder = _config_folder()
    if folder is not None:
        return sorted(path.stem for path in folder.glob("*.json"))
    return [*importlib.import_module("open_clip").list_models()]


def model_config(name: str) -> dict[str, Any] | None:
    """Return the configuration (`model_cfg`) of a model; None if open_clip has no such model."""
    folder = _config_folder()
    if folder is None:
        named_config: dict[str, Any] | None = importlib.import_module("open_clip").get_model_config(
            name
        )
        return named_config
    if name not in model_names():
        return None
    config = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return config if config.keys() >= _CONFIG_KEYS else None


def weight_tag(name: str, tag: str) -> Mapping[str, Any]:
    """Return open_clip's entry for pretrained weights (source, pixel format); empty if unknown."""
    tag_config: Mapping[str, Any] = pretrained().get_pretrained_cfg(name, tag)
    return tag_config


def weight_tags(name: str) -> list[str]:
    """Return the tags of all pretrained weights that open_clip lists for a model."""
    return [*pretrained().list_pretrained_tags_by_model(name)]


def pretrained() -> ModuleType:
    """Return the module `open_clip.pretrained`, if possible without importing all of open_clip."""
    if "open_clip" not in sys.modules:
        module = _loaded_alone()
        if module is not None:
            return module
    return importlib.import_module("open_clip.pretrained")


def _config_folder() -> Path | None:
    """Return open_clip's folder of model configurations, to read them without importing open_clip.

    Returns None if the folder is missing, or if open_clip is already imported.
    """
    if "open_clip" in sys.modules:
        return None
    folder = _package_folder() / "model_configs"
    return folder if folder.is_dir() else None


def _package_folder() -> Path:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'open_clip'", name="open_clip")
    return Path(spec.origin).parent


@functools.cache
def _loaded_alone() -> ModuleType | None:
    """Return `open_clip.pretrained`, loaded without importing open_clip; None if that fails."""
    package = ModuleType(_ALONE)
    package.__path__ = [str(_package_folder())]
    modules = cast("dict[str, Any]", sys.modules)
    imported_modules = {name: modules[name] for name in _SLOW_IMPORTS if name in modules}
    modules.update({_ALONE: package, **dict.fromkeys(_SLOW_IMPORTS)})
    try:
        module = importlib.import_module(f"{_ALONE}.pretrained")
        return module if module.list_pretrained() else None
    except Exception:  # open_clip itself is imported instead
        return None
    finally:
        for name in [name for name in modules if name.partition(".")[0] == _ALONE]:
            del modules[name]
        for name in _SLOW_IMPORTS:
            del modules[name]
        modules.update(imported_modules)


HUB = "hf-hub:"
_LICENCES = {
    r"laion/CLIP-": "mit",
    r"timm/.*SigLIP": "apache-2.0",
    r"timm/PE-Core-": "apache-2.0",
    r"timm/.*metaclip": "cc-by-nc-4.0",
    r"facebook/metaclip": "cc-by-nc-4.0",
}
"""Licence by the start of a repository's name, for publishers with one licence."""


def repository_of(model: str, pretrained: str | None) -> str | None:
    """Return the Hugging Face repository of a model's weights; None if there is none."""
    if model.startswith(HUB):
        return model.removeprefix(HUB)
    if ":" in model or pretrained is None:
        return None
    tag_config = weight_tag(model.replace("/", "-"), pretrained) or {}
    return str(tag_config.get("hf_hub") or "").strip("/") or None


def licence_of(repository: str | None) -> str | None:
    """Return the licence of a repository's weights; None if it is unknown."""
    licences = (name for start, name in _LICENCES.items() if re.match(start, repository or ""))
    return next(licences, None)
