"""Make an untrained FastVLM model and its processor, and write the trained checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    GenerationConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from build_model import teacher
from build_model.image_tower import IMAGE_SIZE, MEAN, STD, TRUNK

from .layout import HEADS, TEXT, WIDTH

LAYERS, HIDDEN, VOCABULARY = 3, 512, 3072
STRIDE = 32
IMAGE_TOKENS = (IMAGE_SIZE // STRIDE) ** 2
PAD, BEGIN, END, IMAGE = "<pad>", "<s>", "</s>", "<image>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}"
    "{% endfor %}{% for part in message['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def new_processor(texts: Iterable[str], class_phrases: list[str]) -> LlavaProcessor:
    """Return a processor with a byte-pair vocabulary of `texts` and one token per class.

    It preprocesses images for the image tower. Additional attributes are `class_ids` (the token id
    of each class), `first_class` (the lowest of these ids) and `bare` (a tokenizer without class
    tokens).
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[PAD, BEGIN, END, IMAGE],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        padding_side="left",
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=1024,
    )
    bare = Tokenizer.from_str(bpe.to_str())
    first_class = len(tokenizer)
    tokenizer.add_tokens(
        [AddedToken(text, normalized=False) for text in dict.fromkeys(class_phrases)]
    )
    images = CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIZE},
        crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=STRIDE,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )
    processor.class_ids = [tokenizer.convert_tokens_to_ids(text) for text in class_phrases]
    processor.first_class = first_class
    processor.bare = lambda text: bare.encode(text, add_special_tokens=False).ids
    return processor


def new_model(trunk: nn.Module, processor: LlavaProcessor) -> FastVlmForConditionalGeneration:
    """Return a model with the given image tower, and an untrained projector and language model."""
    tokenizer = processor.tokenizer
    config = FastVlmConfig(
        vision_config={"model_type": "timm_wrapper", "architecture": TRUNK, "hidden_size": 1280},
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        projector_hidden_act="linear",
        tie_word_embeddings=True,
    )
    model = FastVlmForConditionalGeneration(config)
    state = {k: v for k, v in trunk.state_dict().items() if not k.startswith("classifier")}
    model.model.vision_tower.timm_model.load_state_dict(state)
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=77,
    )
    return model


def meanings(processor: LlavaProcessor) -> Tensor:
    """Return MiniLM features (V, TEXT) of each text token's string, reduced to width TEXT."""
    tokenizer = processor.tokenizer
    strings = [tokenizer.decode([token]).strip() or "." for token in range(processor.first_class)]
    vectors = teacher.encode(strings)
    vectors = vectors - vectors.mean(0)
    width = TEXT.stop - TEXT.start
    reduced = vectors @ torch.linalg.svd(vectors, full_matrices=False).Vh[:width].T
    return reduced / reduced.std(0).clamp_min(1e-4).sqrt()


def write(model: FastVlmForConditionalGeneration, processor: LlavaProcessor, folder: Path) -> None:
    """Save model and processor to `folder`, with float16 weights that are loaded as float32."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    state = {k: v.half() if v.is_floating_point() else v for k, v in load_file(weights).items()}
    save_file(state, weights, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = "float32"
    weights.chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
