"""Load the processor and the weights of a checkpoint: safetensors only, and no remote code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from latte.api import LatteError
from latte_llava.checkpoint import WHERE, Checkpoint, explained
from latte_llava.library import transformers
from latte_llava.options import LlavaOptions
from latte_llava.views import TILED

UNQUANTISED = ("lm_head", "model.vision_tower", "model.vision_model", "model.visual")
"""Modules whose weights `load_in` does not quantise: the output layer and the image tower. The
image tower has one of these names in each model family; LLaVA does not quantise it either."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bar and its report of loaded weights."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()


def choose_dtype(options: LlavaOptions, device: str) -> str:
    """Return the torch name of the data type of weights and activations."""
    if options.dtype != "auto":
        return options.dtype
    kind = torch.device(device).type
    if kind == "cpu":
        return "float32"
    if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "float16"


def load_processor(checkpoint: Checkpoint) -> Any:
    """Return the checkpoint's processor, which pads on the left, as generation requires."""
    with explained(checkpoint.name):
        processor = transformers.AutoProcessor.from_pretrained(
            checkpoint.source, revision=checkpoint.revision, trust_remote_code=False
        )
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise LatteError(
            f"{checkpoint.name} has no processor for images and texts",
            where=WHERE,
            hint="its folder must hold preprocessor_config.json or processor_config.json",
        )
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def load_model(
    checkpoint: Checkpoint, options: LlavaOptions, dtype: str, device: str, tokenizer: Any
) -> Any:
    """Return the model in evaluation mode, on `device` or spread over all GPUs."""
    loader, config = transformers.AutoModelForImageTextToText, checkpoint.config
    if options.resolution == "thumbnail" and config.model_type in TILED:
        # Without tiles, a tiled LLaVA model equals LLaVA 1.5; even the weights have equal names.
        loader, config = transformers.LlavaForConditionalGeneration, one_tile_config(config)
    with explained(checkpoint.name), _quiet():
        model, report = loader.from_pretrained(
            checkpoint.source,
            config=config,
            revision=checkpoint.revision,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
            **_placement(options, dtype, device),
        )
        if options.load_in == "none" and not options.spread:
            model = model.to(device)
    if missing_keys := sorted(report["missing_keys"]):
        raise LatteError(
            f"{checkpoint.name} lacks {len(missing_keys)} weights, such as {missing_keys[0]}",
            where=WHERE,
            hint="the checkpoint is incomplete: download it again",
        )
    model.generation_config = generation_config(model, tokenizer, options.max_new_tokens)
    return model.eval()


def one_tile_config(config: Any) -> Any:
    """Convert the configuration of a tiled LLaVA model to LLaVA 1.5, with one tile per image."""
    names = (
        "vision_config",
        "text_config",
        "image_token_index",
        "projector_hidden_act",
        "vision_feature_layer",
        "vision_feature_select_strategy",
        "multimodal_projector_bias",
        "tie_word_embeddings",
    )
    return transformers.LlavaConfig(**{name: getattr(config, name) for name in names})


def generation_config(model: Any, tokenizer: Any, max_new_tokens: int) -> Any:
    """Return a configuration for greedy decoding with the checkpoint's end tokens.

    The checkpoint's other settings are dropped: only the describer's options control decoding.
    """
    end_tokens = model.generation_config.eos_token_id
    ids = [end_tokens] if isinstance(end_tokens, int) else list(end_tokens or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return transformers.GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        bos_token_id=model.generation_config.bos_token_id,
        eos_token_id=ids or None,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ids[0],
    )


def _placement(options: LlavaOptions, dtype: str, device: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if options.spread:
        _require("accelerate", "spread: true", "spread")
        arguments["device_map"] = "auto"
    if options.load_in == "none":
        return arguments
    _require("bitsandbytes", f"load_in: {options.load_in}", "4bit")
    _require("accelerate", f"load_in: {options.load_in}", "4bit")
    arguments.setdefault("device_map", {"": device})
    # The authors of LatteCLIP used weights in NF4 with double quantisation.
    arguments["quantization_config"] = (
        transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=[*UNQUANTISED])
        if options.load_in == "8bit"
        else transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            llm_int8_skip_modules=[*UNQUANTISED],
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
    )
    return arguments


def _require(package: str, option: str, extra: str) -> None:
    if find_spec(package) is None:
        raise LatteError(
            f"`{option}` needs the package {package}, which is not installed",
            where="describer",
            hint=f'pip install "latte-llava[{extra}]"',
        )
