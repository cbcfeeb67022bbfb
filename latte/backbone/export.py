"""Save a CLIP as a folder that open_clip opens under the name `local-dir:FOLDER`."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from latte.backbone.hub import CONFIG_FILE
from latte.backbone.source import WEIGHTS_FILE
from latte.io.files import write_atomically, write_json


def save_model(
    model: Any,
    config: Mapping[str, Any],
    tokenizer: Any,
    folder: Path,
    *,
    text_in_folder: bool,
) -> None:
    """Write a model to `folder`: weights, Hugging Face files if there are any, then the config.

    Weights are written in fp32 as safetensors. If the model has a Hugging Face text tower that came
    from a folder, the config contains the absolute path of the new folder, because open_clip does
    not resolve relative paths. If the new folder is moved, only latte can open it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(folder / WEIGHTS_FILE) as temporary:
        save_file(_exported_weights(model), temporary, metadata={"format": "pt"})
    _save_hugging_face_files(model, tokenizer, folder)
    write_json(
        folder / CONFIG_FILE,
        {
            "model_cfg": exported_config(config, folder if text_in_folder else None),
            "preprocess_cfg": model.visual.preprocess_cfg,
        },
    )


def exported_config(config: Mapping[str, Any], text_folder: Path | None = None) -> dict[str, Any]:
    """Return a copy of the `model_cfg` for an exported folder.

    It names the activation function and requests no pretrained weights. If given, `text_folder`
    becomes the place of the Hugging Face text tower.
    """
    exported = copy.deepcopy(dict(config))
    exported["quick_gelu"] = bool(exported.get("quick_gelu", False))
    if "timm_model_name" in exported["vision_cfg"]:
        exported["vision_cfg"]["timm_model_pretrained"] = False
    if exported["text_cfg"].get("hf_model_name"):
        exported["text_cfg"]["hf_model_pretrained"] = False
        if text_folder is not None:
            exported["text_cfg"]["hf_model_name"] = str(text_folder.absolute())
    return exported


def _exported_weights(model: Any) -> dict[str, Tensor]:
    """Return all weights by name; weights that share memory are copied, as safetensors requires."""
    exported: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).contiguous()
        storage = value.untyped_storage().data_ptr()
        exported[name] = value.clone() if storage in seen else value
        seen.add(storage)
    return exported


def _save_hugging_face_files(model: Any, tokenizer: Any, folder: Path) -> None:
    text_config = getattr(getattr(model, "text", None), "config", None)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for owner in (text_config, tokenizer):
            save = getattr(owner, "save_pretrained", None)
            if save is not None:
                save(scratch)
        for path in Path(scratch).iterdir():
            path.replace(folder / path.name)
