"""Export a run's model to a folder that transformers can open: `CLIPModel` or `SiglipModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.export import folder as shared
from latte.export.clip import clip_config, clip_weights, text_tower
from latte.export.siglip import siglip_model
from latte.export.tokenizer import clip_tokenizer
from latte.interfaces import Backbone, LatteError, PixelFormat
from latte.io.files import write_text
from latte.models.adapted import Member
from latte.models.saved_model import write_prototypes

_TRANSFORMERS = "5.4"
"""First version of transformers with `CLIPImageProcessorPil`, which resizes with Pillow."""
_RESAMPLE = {"bilinear": 2, "bicubic": 3}


def export_transformers(exported: shared.Exported, folder: Path, *, replace: bool) -> Path:
    """Write the model to `folder`; if there are several learners, each gets a sub-folder."""
    shared.require("transformers", "transformers", _TRANSFORMERS)
    members = exported.adapted.members
    refuse_encoders(members)
    writers = [_writer(member) for member in members]
    with shared.whole_folder(folder, replace=replace) as temporary:
        for member, write in zip(members, writers, strict=True):
            write(temporary if len(members) == 1 else temporary / member.name)
        write_prototypes(temporary / shared.PROTOTYPES, exported.adapted, exported.about())
        write_text(temporary / "README.md", shared.transformers_readme(exported, folder.name))
    return folder


def refuse_encoders(members: Sequence[Member]) -> None:
    """Raise `LatteError` if the model uses an image-only encoder beside the CLIP."""
    for member in members:
        if not isinstance(member.encoder, Backbone):
            raise LatteError(
                f"this model classifies with the encoder {member.name} beside the CLIP, and a "
                "model of transformers holds one image tower",
                where="--format transformers",
                hint="latte export RUN --format onnx writes both; " + shared.NO_EXPORT_NEEDED,
            )


def _writer(member: Member) -> Callable[[Path], None]:
    """Return a function that writes the model. Raises `LatteError` if it cannot be exported."""
    backbone = member.encoder
    assert isinstance(backbone, Backbone), "encoders are refused"
    if backbone.saves_transformers:
        return backbone.save
    if not isinstance(backbone, OpenClipBackbone):
        other_format = None if backbone.image_tower() is None else "ONNX"
        raise shared.no_export(member, "transformers", other_format)
    if backbone.logit_bias is None:
        return partial(_write_clip, backbone, clip_config(backbone.model))
    return partial(_write_siglip, backbone.pixel_format, *siglip_model(backbone))


def _write_clip(backbone: OpenClipBackbone, config: dict[str, Any], folder: Path) -> None:
    from transformers import CLIPConfig

    _write(folder, CLIPConfig(**config), "CLIPModel", clip_weights(backbone.model))
    length = text_tower(backbone.model).positional_embedding.shape[0]
    clip_tokenizer(backbone.tokenizer, length).save_pretrained(folder)
    _image_processor(backbone.pixel_format).save_pretrained(folder)


def _write_siglip(pixels: PixelFormat, model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers import SiglipProcessor

    _write(folder, model.config, "SiglipModel", model.state_dict())
    build: Any = SiglipProcessor
    build(_image_processor(pixels), tokenizer).save_pretrained(folder)


def _write(folder: Path, config: Any, model: str, weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config.update({"architectures": [model], "dtype": "float32"})
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _image_processor(pixels: PixelFormat) -> Any:
    """Return transformers' image processor for the pixel format `pixels`.

    Raises `LatteError` if transformers has none.
    """
    from transformers import CLIPImageProcessorPil

    if pixels.resize_mode == "longest":
        what = "transformers' CLIP cannot pad an image's short side, as this model needs it"
        hint = "use latte.load, or `--format onnx`, whose metadata describes the padding"
        raise LatteError(what, where="preprocessing", hint=hint)
    square_size = {"height": pixels.size, "width": pixels.size}
    crops_centre = pixels.resize_mode == "shortest"
    return CLIPImageProcessorPil(
        size={"shortest_edge": pixels.size} if crops_centre else square_size,
        do_center_crop=crops_centre,
        crop_size=square_size,
        resample=_RESAMPLE[pixels.interpolation],
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
    )
