"""Write tiny random checkpoints in the formats of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as library
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

transformers: Any = library

SIDE, CONTEXT = 32, 16
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
}
_SPECIAL = ("bos", "eos", "pad")
_WORDS = "a an photo of the red green blue cat dog house small river seen from above beside . ,"


def write_clip(folder: Path) -> None:
    """Write a `CLIPModel` with its processor."""
    tokenizer = _clip_tokenizer()
    config = transformers.CLIPConfig(
        text_config=_text(tokenizer), vision_config=_VISION, projection_dim=12
    )
    _write(folder, transformers.CLIPModel, config, _clip_processor(tokenizer))


def write_metaclip_2(folder: Path) -> None:
    """Write a `MetaClip2Model` with its processor."""
    tokenizer = _word_tokenizer()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = transformers.MetaClip2Config(text_config=_text(tokenizer), vision_config=_VISION)
    _write(folder, transformers.MetaClip2Model, config, _clip_processor(tokenizer))


def write_siglip(folder: Path) -> None:
    """Write a `SiglipModel` with its processor."""
    write_siglip_like(folder, {})


def write_siglip_like(folder: Path, text: dict[str, Any]) -> None:
    """Write a `SiglipModel`; `text` changes the configuration of its text tower."""
    tokenizer = _word_tokenizer()
    config = transformers.SiglipConfig(
        text_config={**_text(tokenizer), **text}, vision_config=_VISION
    )
    images = transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = transformers.SiglipProcessor(images, tokenizer)
    _write(folder, transformers.SiglipModel, config, processor, scale=4.77, bias=-12.9)


def _text(tokenizer: Any) -> dict[str, Any]:
    """Return the configuration of a text tower for `tokenizer`."""
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in _SPECIAL}
    return {**_TEXT, "vocab_size": len(tokenizer), **special}


def _clip_processor(tokenizer: Any) -> Any:
    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return transformers.CLIPProcessor(images, tokenizer)


def _write(
    folder: Path,
    kind: Any,
    config: Any,
    processor: Any,
    *,
    scale: float = 2.66,
    bias: float | None = None,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:  # the library's own initial weights are nearly zero
                    parameter.normal_(std=0.3)
                elif "layer_norm" in name or "layernorm" in name or "layrnorm" in name:
                    parameter.add_(0.1 * torch.randn_like(parameter))
            model.logit_scale.fill_(scale)
            if bias is not None:
                model.logit_bias.fill_(bias)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _clip_tokenizer() -> Any:
    letters = [chr(code) for code in range(33, 127)]
    entries = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=CONTEXT)


def _word_tokenizer() -> Any:
    entries = ["<pad>", "</s>", "<unk>", *_WORDS.split()]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=CONTEXT,
        model_input_names=["input_ids"],
    )
