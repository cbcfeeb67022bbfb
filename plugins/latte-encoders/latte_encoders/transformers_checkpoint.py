"""Open an image model of transformers from its files, without running code of the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers as _transformers
from torch import Tensor, nn

from latte.api import LatteError, ModuleEncoder, PixelFormat
from latte_encoders.files import CONFIG, refuse_absurd

transformers: Any = _transformers  # its annotations are partial and vary by version
_RESAMPLING: Mapping[int, Any] = {2: "bilinear", 3: "bicubic"}
"""Names of resampling filters, by Pillow's number."""
_OFFLINE = {"local_files_only": True, "trust_remote_code": False}
_NOT_ARCHITECTURE = ("_name_or_path", "architectures", "dtype", "transformers_version")
_POOLER = "pooler."


class PooledImages(nn.Module):
    """Module from pixels (B, 3, S, S) to one feature row per image (B, D).

    The row is the model's pooled output. With `first_token`, or if the model has no pooled output,
    it is the first token: the class token of a vision transformer.
    """

    def __init__(self, model: Any, *, first_token: bool) -> None:
        super().__init__()
        self.model = model
        self.first_token = first_token

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (B, D)."""
        output = self.model(pixel_values=pixels)
        pooled = None if self.first_token else getattr(output, "pooler_output", None)
        if pooled is None:
            hidden: Tensor = output.last_hidden_state
            return hidden[:, 0] if hidden.ndim == 3 else hidden.flatten(2).mean(2)
        rows: Tensor = pooled
        return rows.flatten(1)


def open_checkpoint(folder: Path, device: str, size: int | None, where: str) -> ModuleEncoder:
    """Load the checkpoint in `folder`, frozen, in fp32, onto `device`.

    Images have `size` pixels per side, if given. Raises `LatteError` if transformers cannot open
    the checkpoint; the error names `where`.
    """
    try:
        with _quiet():
            model, loading_info = transformers.AutoModel.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                **_OFFLINE,
            )
            pixel_format = _pixel_format(_image_processor(folder), size, where)
            missing = sorted(loading_info.get("missing_keys", ()))
            if any(not name.startswith(_POOLER) for name in missing):
                name = next(name for name in missing if not name.startswith(_POOLER))
                raise LatteError(
                    f"the weights do not fill the architecture: {name} is missing",
                    hint="download the whole model again",
                )
            config = json.loads(model.config.to_json_string(use_diff=False))
            architecture = {
                "config": {key: config[key] for key in config if key not in _NOT_ARCHITECTURE},
                "first_token": bool(missing),
            }
            module = PooledImages(model, first_token=bool(missing))
            return ModuleEncoder(module.to(device), pixel_format, architecture)
    except LatteError as error:
        raise LatteError(error.what, where=where, hint=error.hint) from error
    except Exception as error:  # transformers raises many types
        raise _not_loaded(folder, where, error) from error


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """Return an image model of transformers with random weights.

    Raises `LatteError` if the architecture would run code or fill memory.
    """
    config = dict(architecture["config"])
    refuse_absurd(config, "encoder.json")
    if "auto_map" in config:
        raise LatteError("this encoder brings code of its own, which latte never runs")
    with _quiet():
        built = transformers.AutoConfig.for_model(config.pop("model_type"), **config)
        model = transformers.AutoModel.from_config(
            built, attn_implementation="sdpa", dtype=torch.float32, trust_remote_code=False
        )
    return PooledImages(model, first_token=bool(architecture["first_token"]))


def _image_processor(folder: Path) -> Any:
    """Return the image processor of a checkpoint; the one that resizes with Pillow, if any."""
    try:
        return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **_OFFLINE)
    except (ImportError, ValueError, KeyError, AttributeError):
        return transformers.AutoImageProcessor.from_pretrained(folder, **_OFFLINE)


def _pixel_format(images: Any, size: int | None, where: str) -> PixelFormat:
    """Return how an image processor prepares images, for images of `size`, if given."""
    cropped = bool(getattr(images, "do_center_crop", None))
    side, short_side = _side(images.crop_size if cropped else images.size), None
    if cropped:
        resized = _read(images.size, "shortest_edge")
        short_side = resized or _side(images.size)
    resampling = _RESAMPLING.get(int(images.resample))
    is_plain = (
        images.do_resize
        and images.do_normalize
        and images.do_rescale
        and abs(images.rescale_factor * 255 - 1) < 1e-6
        and side is not None
        and (not cropped or (short_side is not None and short_side >= side))
    )
    if not is_plain or side is None or resampling is None:
        raise LatteError(
            "its processor prepares images in a way that latte does not",
            where=where,
            hint="latte resizes (bilinear or bicubic), cuts the centre out, and normalises",
        )
    shown = size or side
    if short_side is not None:
        short_side = round(short_side * shown / side)
    red, green, blue = images.image_mean
    std_red, std_green, std_blue = images.image_std
    return PixelFormat(
        size=shown,
        mean=(red, green, blue),
        std=(std_red, std_green, std_blue),
        interpolation=resampling,
        resize_mode="shortest" if cropped else "squash",
        short_side=None if short_side == shown else short_side,
    )


def _side(size: Any) -> int | None:
    """Return the side of a square size; None if it is not square, or not fixed."""
    height, width = _read(size, "height"), _read(size, "width")
    return height if height == width else None


def _read(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
    return None if value is None else int(value)


def _not_loaded(folder: Path, where: str, error: Exception) -> LatteError:
    text = str(error)
    if '"auto_map"' in (folder / CONFIG).read_text(encoding="utf-8"):
        return LatteError(
            f"{folder.name} brings code of its own, which latte never runs",
            where=where,
            hint="use a model that transformers itself has",
        )
    lines = text.strip().splitlines() or [type(error).__name__]
    return LatteError(f"transformers cannot load {folder.name}: {lines[0]}", where=where)


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off transformers' progress bars and warnings."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
