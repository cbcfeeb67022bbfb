"""Load the CLIP that a recipe names, with its weights and tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_clip.factory import create_model, get_tokenizer

from latte.backbone.hub import answers
from latte.backbone.logs import open_clip_logs
from latte.backbone.open_clip import OpenClipBackbone
from latte.backbone.source import ModelSource, find_model
from latte.backbone.untrusted import brings_code, restricted
from latte.interfaces import LatteError
from latte.interfaces.settings import BackboneSettings


def load_backbone(
    settings: BackboneSettings, *, device: str, base_dir: Path, model_folder: Callable[[str], Path]
) -> OpenClipBackbone:
    """Load a pretrained CLIP, frozen, in fp32, onto `device`.

    Weights are read without unpickling objects, and no code from a model is run. `model_folder`
    takes the name of a model that a plugin provides, and returns its folder. Raises `LatteError` if
    the model does not exist, or if its weights do not fit its architecture.
    """
    source = find_model(settings, base_dir=base_dir, model_folder=model_folder)
    # Without an answer of the hub, cached files are used.
    offline = source.text_repository is None or not answers(source.text_repository)
    try:
        with restricted(offline=offline), open_clip_logs():
            model = _create(source)
            tokenizer = get_tokenizer(source.name)
    except Exception as error:  # open_clip, timm and transformers raise many types
        raise _not_loaded(settings, source, error) from error
    return OpenClipBackbone(
        model.to(device), source.config, tokenizer, text_in_folder=source.text_folder is not None
    )


def _create(source: ModelSource) -> Any:
    overrides: dict[str, Any] = {}
    if source.text_folder is not None:
        # open_clip passes `hf_model_name` unchanged to transformers, which would look for a
        # relative path in the current folder.
        overrides["text_cfg"] = {
            **source.config["text_cfg"],
            "hf_model_name": str(source.text_folder),
            "hf_model_pretrained": False,
        }
    return create_model(
        source.name,
        pretrained=str(source.weights) if source.weights else None,
        force_quick_gelu=bool(source.config.get("quick_gelu")),
        force_preprocess_cfg=dict(source.preprocess),
        require_pretrained=True,
        weights_only=True,
        **overrides,
    )


def _not_loaded(settings: BackboneSettings, source: ModelSource, error: Exception) -> LatteError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = f"open_clip cannot load {settings.model}: {type(error).__name__}"
    hint = lines[0] if lines else None
    if brings_code(error):
        message = f"{settings.model} brings code of its own, which latte never runs"
        hint = "use a model whose towers and tokenizer transformers itself has"
    elif lines and lines[0].startswith("Error(s) in loading state_dict"):
        weights = source.weights or f"of {settings.model}"
        message = f"the weights {weights} do not fit the architecture"
        hint = lines[min(1, len(lines) - 1)]
        hint += f" (and {len(lines) - 2} more)" if len(lines) > 2 else ""
    return LatteError(message, where="backbone", hint=hint)
