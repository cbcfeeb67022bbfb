"""Tiny checkpoints with random weights, each in its family's real format, built once a session."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from latte_llava.describer import LlavaDescriber
from latte_llava.library import transformers
from latte_llava.options import LlavaOptions
from latte_llava.shapes import SHAPES, TEMPLATE, Shape, make_tokenizer, tiny_text, tiny_vision

from latte.testing.fixtures import make_context

FAMILIES = ("tiny-llava", "tiny-llava-next", "onevision", "qwen2-vl", "idefics3", "fast-vlm")


@cache
def checkpoint(family: str) -> Path:
    """The folder of the checkpoint; tests must not write there."""
    shape = SHAPES[family]() if family in SHAPES else MORE_SHAPES[family]()
    folder = Path(_session_folder().name) / family
    with torch.random.fork_rng():
        model = shape.build("cpu", torch.float32)
    if family == "fast-vlm":
        # An untrained convolutional tower says next to nothing, which this makes audible.
        with torch.inference_mode():
            features = model.model.vision_tower(torch.ones(1, 3, 64, 64)).last_hidden_state
        model.model.multi_modal_projector.linear_1.weight.data.div_(0.1 * features.std().item())
    model.save_pretrained(folder)
    shape.processor.save_pretrained(folder)
    return folder


@cache
def _session_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="latte-llava-")


def describer(model: Path | str, folder: Path, seed: int = 0, **options: Any) -> LlavaDescriber:
    """A describer of `model`, with short texts."""
    chosen = LlavaOptions(model=str(model), **{"max_new_tokens": 8, **options})
    return LlavaDescriber(chosen, make_context(folder, seed))


def onevision() -> Shape:
    tokenizer = make_tokenizer("<video>")
    vision = transformers.SiglipVisionConfig(**tiny_vision(), vision_use_head=False)
    pinpoints = [[28 * rows, 28 * columns] for rows in (1, 2) for columns in (1, 2)]
    config = transformers.LlavaOnevisionConfig(
        vision_config=vision,
        text_config=transformers.Qwen2Config(**tiny_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    side = {"height": 28, "width": 28}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=pinpoints),
        tokenizer,
        transformers.LlavaOnevisionVideoProcessor(size=side),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
    return Shape(config, processor)


def qwen2_vl() -> Shape:
    more = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    tokenizer = make_tokenizer(*more)
    image, video, start, end = tokenizer.convert_tokens_to_ids(list(more))
    text = tiny_text(tokenizer)
    config = transformers.Qwen2VLConfig(
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "initializer_range": 0.4,
        },
        text_config={
            **text,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    template = TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 64}
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(size=size),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(size=size),
        chat_template=template,
    )
    return Shape(config, processor)


def idefics3() -> Shape:
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    tokenizer = make_tokenizer(
        "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *rows
    )
    vision = {**tiny_vision(), "image_size": 28, "patch_size": 7}
    config = transformers.Idefics3Config(
        vision_config=vision,
        text_config=transformers.LlamaConfig(**tiny_text(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    pixels = transformers.Idefics3ImageProcessor(
        size={"longest_edge": 56}, max_image_size={"longest_edge": 28}
    )
    processor = transformers.Idefics3Processor(
        pixels, tokenizer, image_seq_len=4, chat_template=TEMPLATE
    )
    return Shape(config, processor)


def fast_vlm() -> Shape:
    tokenizer = make_tokenizer()
    # The real tower, a FastViT, has the same interface and far more layers.
    tower = transformers.TimmWrapperConfig(
        architecture="tf_efficientnet_lite0", do_pooling=True, model_args={"global_pool": "avg"}
    )
    tower.hidden_size = 1280
    config = transformers.FastVlmConfig(
        vision_config=tower,
        text_config=transformers.Qwen2Config(**tiny_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )
    pixels = transformers.CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}
    )
    processor = transformers.LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=32,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
    return Shape(config, processor)


MORE_SHAPES = {
    "onevision": onevision,
    "qwen2-vl": qwen2_vl,
    "idefics3": idefics3,
    "fast-vlm": fast_vlm,
}
