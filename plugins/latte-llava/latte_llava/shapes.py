"""Models with random weights: tiny models for tests, and large models for timing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from latte_llava.library import transformers

TEMPLATE = (
    "{% for message in messages %}{{ message.role | upper }}: "
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>")


@dataclass(frozen=True)
class Shape:
    """Configuration of a small model, and the processor that prepares its inputs."""

    config: Any
    processor: Any

    def build(self, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
        """Return the model with random weights, created on its device."""
        torch.manual_seed(seed)
        with torch.device(device):
            model = transformers.AutoModelForImageTextToText.from_config(self.config, dtype=dtype)
        return model.eval()


def make_tokenizer(*more: str) -> Any:
    """Return a byte-level tokenizer of at most 300 tokens, plus `more` as special tokens."""
    special = [*SPECIAL_TOKENS, *more]
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
        **_ids(tokenizer),
    }


def tiny_vision() -> dict[str, Any]:
    """Return the configuration of an image tower with 2 x 2 patches for 28 x 28 pixels."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
        "initializer_range": 0.4,
    }


def _llava(vision: dict[str, Any], text: Callable[[Any], dict[str, Any]]) -> Shape:
    tokenizer, towers = make_tokenizer(), transformers.CLIPVisionConfig(**vision)
    side = towers.image_size
    config = transformers.LlavaConfig(
        vision_config=towers,
        text_config=transformers.LlamaConfig(**text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // towers.patch_size) ** 2,
    )
    pixels = transformers.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    return _shape(transformers.LlavaProcessor, pixels, tokenizer, config)


def _llava_next(vision: dict[str, Any], text: Any) -> Shape:
    tokenizer, towers = make_tokenizer(), transformers.CLIPVisionConfig(**vision)
    side = towers.image_size
    grids = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
    pinpoints = [[side * rows, side * columns] for rows, columns in grids]
    config = transformers.LlavaNextConfig(
        vision_config=towers,
        text_config=text(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
    )
    pixels = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=pinpoints,
    )
    return _shape(transformers.LlavaNextProcessor, pixels, tokenizer, config)


def _shape(kind: Any, pixels: Any, tokenizer: Any, config: Any) -> Shape:
    processor = kind(
        pixels,
        tokenizer,
        patch_size=config.vision_config.patch_size,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
    )
    return Shape(config, processor)


def _large_vision() -> dict[str, Any]:
    return {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    }


def _llama_7b(tokenizer: Any) -> dict[str, Any]:
    return {"vocab_size": 32064, "max_position_embeddings": 4096, **_ids(tokenizer)}


def _mistral_7b(tokenizer: Any) -> Any:
    return transformers.MistralConfig(
        vocab_size=32064,
        max_position_embeddings=32768,
        sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        **_ids(tokenizer),
    )


def _ids(tokenizer: Any) -> dict[str, int]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


SHAPES: dict[str, Callable[[], Shape]] = {
    "tiny-llava": lambda: _llava(tiny_vision(), tiny_text),
    "tiny-llava-next": lambda: _llava_next(
        tiny_vision(), lambda tokenizer: transformers.LlamaConfig(**tiny_text(tokenizer))
    ),
    "llava-1.5-7b": lambda: _llava(_large_vision(), _llama_7b),
    "llava-1.6-7b": lambda: _llava_next(_large_vision(), _mistral_7b),
}
"""Functions that build the shapes, by the names that the benchmark accepts."""
