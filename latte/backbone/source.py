"""Find the architecture and the weights that a recipe's `backbone` names. Imports no torch."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.backbone.hub import CONFIG_FILE, WEIGHTS_FILES, cached_models, fetch, weights_files
from latte.backbone.names import HUB, model_config, model_names, weight_tag, weight_tags
from latte.backbone.untrusted import (
    refuse_unsafe,
)
from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.interfaces.settings import BRING_WEIGHTS, BackboneSettings
from latte.io.model_files import LARGEST_CONFIG, check_model_file
from latte.io.paths import some

WEIGHTS_FILE = WEIGHTS_FILES[0]
_WEIGHT_PATTERNS = ("*.safetensors", "*.bin", "*.pth")
_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")
_WHERE = "backbone.model"


@dataclass(frozen=True)
class ModelSource:
    """Name, configuration and weights with which open_clip builds the model of a recipe."""

    name: str
    """Name of the model for open_clip; it may start with a schema, as in `local-dir:FOLDER`."""
    config: Mapping[str, Any]
    """Configuration of the model, as in the entry `model_cfg` of an exported folder."""
    weights: Path | None = None
    """Weights file of a model given by name; None if the model is in a folder or repository."""
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    """Pixel format that open_clip lists for the weight tag; empty if the model has no tag."""
    text_folder: Path | None = None
    """The model folder, if it contains the configuration of a Hugging Face text tower."""

    @property
    def is_folder(self) -> bool:
        """True if the model is loaded from a folder on this machine."""
        return self.name.startswith("local-dir:")

    @property
    def text_repository(self) -> str | None:
        """Hugging Face repository of the tokenizer or text tower; None if none is needed."""
        text = self.config["text_cfg"]
        name = text.get("hf_tokenizer_name") or text.get("hf_model_name")
        return None if self.is_folder or not name else str(name)


def find_model(
    settings: BackboneSettings, *, base_dir: Path, model_folder: Callable[[str], Path]
) -> ModelSource:
    """Return the model that `settings` names, after downloading files that are not cached.

    Raises `LatteError` if a name, tag, folder or file does not exist, a download fails, or the
    model's configuration is unsafe.
    """
    schema, _, location = settings.model.partition(":")
    brings_weights = settings.model.startswith(BRING_WEIGHTS)
    if brings_weights and settings.pretrained is not None:
        raise LatteError(
            f"pretrained: {settings.pretrained} does not go with {settings.model}",
            where="backbone.pretrained",
            hint=f"remove pretrained: {schema} brings its own weights (on the command line: "
            "--set backbone.pretrained=null)",
        )
    match schema:
        case "local-dir":
            # `normpath` makes `new/../clip` a valid path even if the folder `new` does not exist.
            folder = (base_dir / Path(location).expanduser()).absolute()
            source = _in_folder(Path(os.path.normpath(folder)))
        case "plugin":
            source = _in_folder(model_folder(location))
        case "hf-hub":
            source = _on_hub(location)
        case _:
            source = _by_name(settings, base_dir)
    if brings_weights:
        refuse_unsafe(source.config, settings.model, _WHERE)
    _require_transformers(source)
    return source


def check_model(
    settings: BackboneSettings, *, base_dir: Path, model_folder: Callable[[str], Path]
) -> None:
    """Check the settings without a download. Raises `LatteError` if they are invalid."""
    tag, name = settings.pretrained, settings.model.replace("/", "-")
    if settings.model.startswith(HUB):
        needs_download = tag is None
    else:
        needs_download = tag is not None and bool(weight_tag(name, tag))
    if not needs_download:
        find_model(settings, base_dir=base_dir, model_folder=model_folder)


def _in_folder(folder: Path) -> ModelSource:
    if not folder.is_dir():
        raise LatteError(
            f"there is no folder {folder}",
            where=_WHERE,
            hint="local-dir: starts at the recipe's folder if a recipe names it; everywhere else, "
            "and from a ${VARIABLE}, it starts at the current folder",
        )
    config = _read_config(folder / CONFIG_FILE)
    weights = [path for pattern in _WEIGHT_PATTERNS for path in folder.glob(pattern)]
    if not weights:
        raise LatteError(
            f"{folder} has {CONFIG_FILE} but no weights",
            where=_WHERE,
            hint=f"put the weights beside it as {WEIGHTS_FILE}",
        )
    for path in weights:
        check_model_file(path, "backbone.model")
    text_in_folder = "hf_model_name" in config["text_cfg"] and (folder / "config.json").is_file()
    return ModelSource(
        f"local-dir:{folder}", config, text_folder=folder if text_in_folder else None
    )


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        what = f"{path.parent} is no open_clip model folder: {path.name} is missing"
        raise LatteError(what, where=_WHERE)
    try:
        check_model_file(path, "backbone.model", LARGEST_CONFIG)
        config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        is_complete = {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_complete = False
    if not is_complete:
        raise LatteError(
            f"{path} does not describe an open_clip model",
            where=_WHERE,
            hint="it needs model_cfg with embed_dim, vision_cfg and text_cfg",
        )
    return dict(config)


def _on_hub(repository: str) -> ModelSource:
    try:
        config = fetch(repository, [CONFIG_FILE])
        fetch(repository, WEIGHTS_FILES)
    except OSError as error:
        files = f"{CONFIG_FILE} and {WEIGHTS_FILE} of {repository}"
        raise _not_downloaded(files, error) from error
    return ModelSource(f"{HUB}{repository}", _read_config(config))


def _by_name(settings: BackboneSettings, base_dir: Path) -> ModelSource:
    name = settings.model.replace("/", "-")
    config = model_config(name)
    if config is None:
        raise _unknown_name(settings.model, base_dir)
    if settings.pretrained is None:
        raise LatteError(
            f"{name} has only random weights without pretrained",
            where="backbone.pretrained",
            hint=f"set pretrained to a weights file or to {_tags(name)}\n"
            f"on the command line: --model {name}:PRETRAINED",
        )
    tag = weight_tag(name, settings.pretrained)
    if not tag:
        return ModelSource(name, config, weights=_weights_file(name, settings.pretrained, base_dir))
    if tag.get("quick_gelu"):
        # These weights were trained with QuickGELU, and classify worse with GELU. open_clip's
        # configurations, such as ViT-B-32, have GELU, and open_clip only warns of the difference.
        config["quick_gelu"] = True
    preprocess = {key: tag[key] for key in _PREPROCESS_KEYS if key in tag}
    return ModelSource(name, config, _download_tag(name, settings.pretrained), preprocess)


def _unknown_name(model: str, base_dir: Path) -> LatteError:
    if (base_dir / Path(model).expanduser()).is_dir():
        hint = f"to open a folder write local-dir:{model}"
    else:
        names = {name.lower(): name for name in model_names()}
        close_names = difflib.get_close_matches(model.replace("/", "-").lower(), names, n=3)
        hint = (
            f"did you mean {' or '.join(names[name] for name in close_names)}?"
            if close_names
            else "it is an open_clip name, local-dir:FOLDER, hf-hub:REPO or plugin:NAME"
        )
    return LatteError(f"open_clip knows no model {model}", where=_WHERE, hint=hint)


def _tags(name: str) -> str:
    tags = weight_tags(name)
    return f"one of {', '.join(tags)}" if tags else f"(open_clip has no weight tags for {name})"


def _weights_file(name: str, tag: str, base_dir: Path) -> Path:
    path = (base_dir / Path(tag).expanduser()).absolute()
    if not path.is_file():
        close_tags = difflib.get_close_matches(tag.lower(), weight_tags(name), n=1)
        raise LatteError(
            f"{tag} is neither a weight tag of {name} nor a file",
            where="backbone.pretrained",
            hint=f"did you mean {close_tags[0]}?" if close_tags else f"set it to {_tags(name)}",
        )
    if (path.parent / CONFIG_FILE).is_file():
        raise LatteError(
            f"{path} is in a model folder, whose {CONFIG_FILE} may differ from {name}",
            where="backbone.pretrained",
            hint=f"remove pretrained and set model to local-dir:{path.parent}",
        )
    return path


def _download_tag(name: str, tag: str) -> Path:
    config = weight_tag(name, tag)
    place = config.get("hf_hub")
    try:
        if place:
            return fetch(*weights_files(place))
        from open_clip.pretrained import download_pretrained

        return Path(download_pretrained(dict(config)))
    except (OSError, RuntimeError) as error:
        weights = f"{name} {tag} ({place or config.get('url')})"
        raise _not_downloaded(weights, error) from error


def _not_downloaded(files: str, error: Exception) -> LatteError:
    reason = error_line(error, with_type=False)
    cached_names = cached_models()
    ways_without_download = [
        f"local-dir:FOLDER, a folder with {CONFIG_FILE} and {WEIGHTS_FILE}",
        "plugin:tiny, a tiny CLIP only to try latte: its labels are poor",
        *([f"in the cache of this machine: {some(cached_names)}"] if cached_names else []),
    ]
    return LatteError(
        f"cannot download {files}: {reason}",
        where=_WHERE,
        hint="\n    ".join(["models that need no download:", *ways_without_download]),
    )


def _require_transformers(source: ModelSource) -> None:
    text = source.config["text_cfg"]
    repository = text.get("hf_model_name") or text.get("hf_tokenizer_name")
    if repository and importlib.util.find_spec("transformers") is None:
        raise LatteError(
            f"{source.name} reads texts with {repository}, which needs the package transformers",
            where=_WHERE,
            hint='pip install "transformers>=5.4,<6"',
        )
