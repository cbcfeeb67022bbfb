"""An image-text model of transformers as latte's backbone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.api import LatteError, ModuleBackbone, PixelFormat, TrainableGroup
from latte_transformers.library import quiet

_TEXTS_PER_PASS = 256
_CUT = ("clip", "metaclip_2")
"""Model types whose text tower is causal and pools at the end-of-text token, so that padding
has no effect and is cut."""
_NEVER_TRAINED = ("logit_bias",)
_PROJECTIONS = ("visual_projection", "text_projection", "vision_model.head.mlp", "text_model.head")
_NOT_ARCHITECTURE = ("_name_or_path", "architectures", "dtype", "transformers_version")
_CONFIG = "config.json"


@dataclass(frozen=True)
class Processor:
    """The processor of a checkpoint, and the context length of its text tower."""

    processor: Any
    context_length: int

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the processor."""
        return self.processor.tokenizer

    def tokens(self, texts: Sequence[str], *, masked: bool) -> dict[str, Tensor]:
        """Return the tokenizer's tensors (M, L) of M texts, padded to the context length L.

        `masked` adds the attention mask, which some tokenizers return by default.
        """
        encoding = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.context_length,
            return_tensors="pt",
            return_attention_mask=masked or None,
        )
        return dict(encoding)

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts that are longer than the context."""
        token_ids = self.tokenizer(list(texts)).input_ids if texts else []
        return sum(len(text_ids) > self.context_length for text_ids in token_ids)


class TransformersBackbone(ModuleBackbone):
    """Any model of transformers with image and text features and a logit scale."""

    saves_transformers = True

    def __init__(
        self, model: Any, processor: Processor, pixel_format: PixelFormat, embedding_width: int
    ) -> None:
        """Wrap a loaded model and the processor of its checkpoint."""
        super().__init__(model, pixel_format, embedding_width)
        self.processor = processor
        self.cuts_padding = model.config.model_type in _CUT
        """True if texts are padded to the longest text of a pass, else to the context length."""
        if not self.cuts_padding:
            self.notes = ("texts are padded to the full context length, as in pretraining",)

    def architecture(self) -> Any:
        """Return the configuration and the tokenizer."""
        config = json.loads(self.model.config.to_json_string(use_diff=False))
        return [_without(config, _NOT_ARCHITECTURE), _tokenizer_data(self.processor.tokenizer)]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return unit features (B, D) in fp32 of pixels (B, 3, S, S)."""
        self.choose_mode()
        pixels = pixels.to(self.device, non_blocking=True)
        return _unit(self.model.get_image_features(pixel_values=pixels))

    def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) of M texts in fp32."""
        self.choose_mode()
        tokens = self.processor.tokens(texts, masked=self.cuts_padding)
        if not self.cuts_padding:
            passes = (slice(i, i + _TEXTS_PER_PASS) for i in range(0, len(texts), _TEXTS_PER_PASS))
            batches = ({name: tensor[rows] for name, tensor in tokens.items()} for rows in passes)
            return torch.cat([self._encode(batch) for batch in batches])
        ids, lengths = tokens["input_ids"], tokens["attention_mask"].sum(dim=1)

        def encode(part: Tensor) -> Tensor:
            return self._encode({"input_ids": ids[part, : int(lengths[part[-1]])]})

        return self.encode_by_length(lengths, _TEXTS_PER_PASS, encode)

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts that are longer than the context of the text tower."""
        return self.processor.count_cut(texts)

    def _encode(self, tokens: Mapping[str, Tensor]) -> Tensor:
        device_tokens = {
            name: tensor.to(self.device, non_blocking=True) for name, tensor in tokens.items()
        }
        return _unit(self.model.get_text_features(**device_tokens))

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Return the parameters of `group` by name. Raises `LatteError` if there are none."""
        if group == "none":
            return {}
        group_names = {*self._names(group)}
        parameters = {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if name in group_names and name not in _NEVER_TRAINED
        }
        if not parameters:
            raise LatteError(
                f"a {type(self.model).__name__} has no parameters of the group {group}",
                where="trainable",
                hint="trainable: all",
            )
        return parameters

    def _names(self, group: TrainableGroup) -> Iterator[str]:
        names = [name for name, _ in self.model.named_parameters()]
        match group:
            case "visual_layer_norms":
                yield from _layer_norms(self.model, "vision_model")
            case "text_layer_norms":
                yield from _layer_norms(self.model, "text_model")
            case "projections":
                yield from (name for name in names if name.startswith(_PROJECTIONS))
            case _:
                yield from names

    def recompute_activations(self) -> bool:
        """Turn gradient checkpointing on; return True if the model supports it."""
        if not self.model.supports_gradient_checkpointing:
            return False
        # The name in transformers before 5.20 is deprecated in later versions.
        old_name, new_name = "gradient_checkpointing_enable", "activation_checkpointing_enable"
        enable = getattr(self.model, new_name, None) or getattr(self.model, old_name)
        enable({"use_reentrant": False})
        return True

    def image_tower(self) -> nn.Module:
        """Return a module from pixels (B, 3, S, S) to features (B, D)."""
        return ImageTower(self.model)

    def save(self, folder: Path) -> None:
        """Write a folder that `from_pretrained` can load; the configuration is written last."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            with quiet():
                self.model.save_pretrained(scratch)
                self.processor.processor.save_pretrained(scratch)
            files = sorted(Path(scratch).iterdir(), key=lambda path: path.name == _CONFIG)
            for path in files:
                path.replace(folder / path.name)


class ImageTower(nn.Module):
    """Module from pixels to image features, for exports."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (B, D) of pixels (B, 3, S, S)."""
        return _features(self.model.get_image_features(pixel_values=pixels))  # type: ignore[operator]


def _features(output: Any) -> Tensor:
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def _unit(output: Any) -> Tensor:
    return normalize(_features(output).float(), dim=-1)


def _layer_norms(model: Any, tower: str) -> Iterator[str]:
    for path, module in getattr(model, tower, nn.Module()).named_modules(prefix=tower):
        if isinstance(module, nn.LayerNorm):
            yield from (name for name, _ in module.named_parameters(path, recurse=False))


def _without(data: Any, names: Sequence[str]) -> Any:
    if isinstance(data, dict):
        return {key: _without(child, names) for key, child in data.items() if key not in names}
    return [_without(child, names) for child in data] if isinstance(data, list) else data


def _tokenizer_data(tokenizer: Any) -> Any:
    """Return the data that determine a tokenizer's output, without the state of its last call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer.get_vocab()
    return _without(json.loads(backend.to_str()), ("truncation", "padding"))
