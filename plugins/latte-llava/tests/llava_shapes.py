"""Tiny image-text models with random weights, each in its family's real configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from latte_llava.library import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEMPLATE = (
    "{% for message in messages %}{{ message.role | upper }}: "
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>")


@dataclass(frozen=True)
class ModelShape:
    """Configuration of a small model, and the processor that prepares its inputs."""

    config: Any
    processor: Any

    def build(self) -> Any:
        """Return the model with random weights."""
        torch.manual_seed(0)
        return transformers.AutoModelForImageTextToText.from_config(self.config).eval()


def make_tokenizer(*extra_tokens: str) -> Any:
    """Return a byte-level tokenizer of at most 300 tokens; `extra_tokens` are special."""
    special = [*SPECIAL_TOKENS, *extra_tokens]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a photo of an object in a scene"], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=special[4:],
    )


def tiny_text(tokenizer: Any) -> dict[str, Any]:
    """Return the configuration of a two-layer language model whose answers depend on the image."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "initializer_range": 0.4,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def tiny_vision(side: int = 28) -> dict[str, Any]:
    """Return the configuration of an image tower with patches of 14 x 14 pixels."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 14,
        "initializer_range": 0.4,
    }


def llava() -> ModelShape:
    tokenizer, towers = make_tokenizer(), transformers.CLIPVisionConfig(**tiny_vision())
    side = towers.image_size
    config = transformers.LlavaConfig(
        vision_config=towers,
        text_config=transformers.LlamaConfig(**tiny_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // towers.patch_size) ** 2,
    )
    pixels = transformers.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    return _shape(transformers.LlavaProcessor, pixels, tokenizer, config)


def llava_next(side: int = 28) -> ModelShape:
    """Return LLaVA-NeXT with tiles of `side` x `side` pixels; the paper's model has 336."""
    tokenizer, towers = make_tokenizer(), transformers.CLIPVisionConfig(**tiny_vision(side))
    grids = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
    pinpoints = [[side * rows, side * columns] for rows, columns in grids]
    config = transformers.LlavaNextConfig(
        vision_config=towers,
        text_config=transformers.LlamaConfig(**tiny_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
    )
    pixels = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=pinpoints,
    )
    return _shape(transformers.LlavaNextProcessor, pixels, tokenizer, config)


def _shape(kind: Any, pixels: Any, tokenizer: Any, config: Any) -> ModelShape:
    processor = kind(
        pixels,
        tokenizer,
        patch_size=config.vision_config.patch_size,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
    )
    return ModelShape(config, processor)


def onevision() -> ModelShape:
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
    return ModelShape(config, processor)


def qwen2_vl() -> ModelShape:
    special_tokens = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    tokenizer = make_tokenizer(*special_tokens)
    image, video, start, end = tokenizer.convert_tokens_to_ids(list(special_tokens))
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
    return ModelShape(config, processor)


def idefics3() -> ModelShape:
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
    return ModelShape(config, processor)


def fast_vlm() -> ModelShape:
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
    return ModelShape(config, processor)


SHAPES: dict[str, Callable[[], ModelShape]] = {
    "tiny-llava": llava,
    "tiny-llava-next": llava_next,
    "onevision": onevision,
    "qwen2-vl": qwen2_vl,
    "idefics3": idefics3,
    "fast-vlm": fast_vlm,
}
"""Functions that build the shapes, by family."""
