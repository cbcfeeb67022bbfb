"""Export of a run's model to a folder for transformers' `CLIPModel.from_pretrained`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from latte.backbone.open_clip import OpenClipBackbone
from latte.export.clip_tokenizer import clip_tokenizer
from latte.export.clip_weights import clip_config, clip_weights, text_tower
from latte.export.folder import PROTOTYPES, Exported, require, whole_folder
from latte.export.readme import transformers_readme
from latte.interfaces import LatteError, PixelFormat
from latte.io.files import write_text
from latte.run.adapted import Member, write_prototypes

_TRANSFORMERS = "5.4"
"""First version that calls its Pillow image processor `CLIPImageProcessorPil`."""
_RESAMPLE = {"bilinear": 2, "bicubic": 3}
"""Pillow's numbers of the resampling filters."""


def export_transformers(exported: Exported, folder: Path, *, replace: bool) -> Path:
    """Write the model to `folder`; each of several learners gets a sub-folder with its name.

    Raises:
        LatteError: if transformers is missing, or its CLIP cannot hold the model.
    """
    require("transformers", "transformers", _TRANSFORMERS)
    members = exported.adapted.members
    writers = [_writer(member) for member in members]
    with whole_folder(folder, replace=replace) as temporary:
        for member, write in zip(members, writers, strict=True):
            write(temporary if len(members) == 1 else temporary / member.name)
        write_prototypes(temporary / PROTOTYPES, exported.adapted, exported.about())
        write_text(temporary / "README.md", transformers_readme(exported, folder.name))
    return folder


def _writer(member: Member) -> Callable[[Path], None]:
    """Return a function that writes the model. Raises `LatteError` if there is no such export."""
    backbone = member.backbone
    if backbone.saves_transformers:
        return backbone.save
    if not isinstance(backbone, OpenClipBackbone):
        raise LatteError(f"the backbone of learner {member.name} has no export to transformers")
    return partial(_write_clip, backbone, clip_config(backbone.model))


def _write_clip(backbone: OpenClipBackbone, config: dict[str, Any], folder: Path) -> None:
    from transformers import CLIPConfig

    folder.mkdir(parents=True, exist_ok=True)
    written = CLIPConfig(**config, architectures=["CLIPModel"], dtype="float32")
    written.save_pretrained(folder)
    save_file(clip_weights(backbone.model), folder / "model.safetensors", metadata={"format": "pt"})
    length = text_tower(backbone.model).positional_embedding.shape[0]
    clip_tokenizer(backbone.tokenizer, length).save_pretrained(folder)
    _image_processor(backbone.pixel_format).save_pretrained(folder)


def _image_processor(pixels: PixelFormat) -> Any:
    """Build the image processor. Raises `LatteError` if transformers cannot resize like this."""
    from transformers import CLIPImageProcessorPil

    if pixels.resize_mode == "longest":
        raise LatteError(
            "transformers' CLIP cannot pad an image's short side, as this model needs it",
            where="preprocessing",
            hint="use latte.load, or `--format onnx`, whose metadata describes the padding",
        )
    square = {"height": pixels.size, "width": pixels.size}
    shortest = pixels.resize_mode == "shortest"
    return CLIPImageProcessorPil(
        size={"shortest_edge": pixels.size} if shortest else square,
        do_center_crop=shortest,
        crop_size=square,
        resample=_RESAMPLE[pixels.interpolation],
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
    )
