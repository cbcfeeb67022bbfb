"""Open a checkpoint of transformers, model and processor, without running its code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers.normalizers import Lowercase, Sequence

from latte.api import LatteError, PixelFormat
from latte_transformers.backbone import Processor, TransformersBackbone
from latte_transformers.library import quiet, transformers

_WHERE = "backbone.model"
_RESAMPLING: Mapping[int, Any] = {2: "bilinear", 3: "bicubic"}
"""Names of resampling filters, by Pillow's number."""
_TOWERS = ("get_image_features", "get_text_features")


def open_checkpoint(folder: Path, device: str, *, name: str) -> TransformersBackbone:
    """Load the checkpoint in `folder`, frozen, in fp32, onto `device`; messages call it `name`.

    Weights are read as safetensors, never as pickle. A configuration that names a kernel to
    download has no effect. Raises `LatteError` if the checkpoint is not an image-text model.
    """
    module, processor = _read_checkpoint(folder, name)
    tokenizer = getattr(processor, "tokenizer", None)
    images = getattr(processor, "image_processor", None)
    if tokenizer is None or images is None:
        raise LatteError(
            f"the processor of {name} has no {'tokenizer' if images else 'image processor'}",
            where=_WHERE,
        )
    if module.config.model_type.startswith("siglip"):
        _lower_case(tokenizer)
    try:
        size = _image_size(images, name)
        model_config = module.config
        text = getattr(model_config, "text_config", model_config)
        length = min(int(text.max_position_embeddings), int(tokenizer.model_max_length))
        width = (
            getattr(model_config, "projection_dim", None) or model_config.vision_config.hidden_size
        )
        backbone = TransformersBackbone(
            module.to(device),
            Processor(processor, length),
            _pixel_format(images, size, name),
            int(width),
        )
    except (AttributeError, TypeError) as error:
        raise LatteError(
            f"the configuration of {name} lacks what latte reads ({error})", where=_WHERE
        ) from error
    _try(name, backbone)
    return backbone


def _read_checkpoint(folder: Path, name: str) -> tuple[Any, Any]:
    """Return the model and the processor in `folder`, if the model is one that latte can train."""
    source = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(folder, **source)
            if getattr(config, "quantization_config", None) is not None:
                raise LatteError(
                    f"{name} has quantised weights, which cannot be trained",
                    where=_WHERE,
                    hint="use the checkpoint that it was made from",
                )
            processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil", **source)
            module, loading_info = transformers.AutoModel.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                **source,
            )
    except LatteError:
        raise
    except Exception as error:  # transformers raises many types
        raise _not_loaded(name, error) from error
    _refuse_other_models(name, module)
    _refuse_random_weights(name, loading_info)
    return module, processor


def _lower_case(tokenizer: Any) -> None:
    """Make the tokenizer ignore case, as in pretraining; SigLIP 2's own tokenizer does not."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or "Lowercase" in str(backend.normalizer):
        return
    original_normalizers = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = Sequence([Lowercase(), *original_normalizers])


def _refuse_other_models(model: str, module: Any) -> None:
    kind = type(module).__name__
    missing_towers = [name for name in _TOWERS if not hasattr(module, name)]
    if missing_towers:
        tower = "text" if "get_text_features" in missing_towers else "image"
        raise LatteError(
            f"{model} is a {kind}, which has no {tower} tower",
            where=_WHERE,
            hint="use an image-text model, such as a CLIPModel or a SiglipModel",
        )
    if not hasattr(module, "logit_scale"):
        raise LatteError(f"{model} is a {kind}, which has no logit scale", where=_WHERE)


def _refuse_random_weights(model: str, loading_info: Mapping[str, Any]) -> None:
    missing_keys = sorted(loading_info.get("missing_keys", ()))
    if missing_keys:
        ending = f" (and {len(missing_keys) - 1} more)" if len(missing_keys) > 1 else ""
        raise LatteError(
            f"the weights of {model} do not fill its architecture: {missing_keys[0]} is "
            f"missing{ending}",
            where=_WHERE,
            hint="download the whole checkpoint again",
        )


def _try(model: str, backbone: TransformersBackbone) -> None:
    """Raise `LatteError` if model and processor do not fit, or if all texts have equal features."""
    side = backbone.pixel_format.size
    try:
        with torch.no_grad():
            images = backbone.encode_images(torch.zeros(1, 3, side, side))
            texts = backbone.encode_texts(["a photo", "a dog"])
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise LatteError(
            f"the towers of {model} do not accept what its processor makes: {_first_line(error)}",
            where=_WHERE,
        ) from error
    if images.shape[1] != texts.shape[1]:
        raise LatteError(
            f"the towers of {model} do not share one space: image features have "
            f"{images.shape[1]} numbers, and text features {texts.shape[1]}",
            where=_WHERE,
        )
    if torch.equal(texts[0], texts[1]):  # without files, transformers makes an empty tokenizer
        raise LatteError(
            f"the tokenizer of {model} does not know common words; are its files missing?",
            where=_WHERE,
            hint="AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
        )


def _image_size(images: Any, model: str) -> int:
    cropped = getattr(images, "do_center_crop", None)
    size = images.crop_size if cropped else images.size
    height, width = _side(size, "height"), _side(size, "width")
    if height is None or height != width:
        raise LatteError(
            f"the processor of {model} does not make squares of one size",
            where=_WHERE,
            hint="use a checkpoint of fixed resolution",
        )
    return height


def _side(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
    return None if value is None else int(value)


def _pixel_format(images: Any, size: int, model: str) -> PixelFormat:
    cropped = getattr(images, "do_center_crop", None)
    shortest_edge = _side(images.size, "shortest_edge")
    resampling = _RESAMPLING.get(images.resample)
    is_plain = (
        images.do_resize
        and images.do_normalize
        and images.do_rescale
        and abs(images.rescale_factor * 255 - 1) < 1e-6
        and (shortest_edge == size if cropped else shortest_edge is None)
    )
    if not is_plain or resampling is None:
        raise LatteError(
            f"the processor of {model} prepares images in a way that latte does not",
            where=_WHERE,
            hint="latte resizes (bilinear or bicubic), cuts the centre out, and normalises",
        )
    return PixelFormat(
        size=size,
        mean=tuple(images.image_mean),
        std=tuple(images.image_std),
        interpolation=resampling,
        resize_mode="shortest" if cropped else "squash",
    )


def _not_loaded(model: str, error: Exception) -> LatteError:
    text = str(error)
    if "trust_remote_code" in text or "custom code" in text:
        return LatteError(
            f"{model} brings code of its own, which latte never runs",
            where=_WHERE,
            hint="use a model that transformers itself has",
        )
    return LatteError(f"transformers cannot load {model}: {_first_line(error)}", where=_WHERE)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
