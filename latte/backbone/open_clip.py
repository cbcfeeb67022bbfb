"""A CLIP of open_clip as latte's backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from latte.backbone.export import exported_config, save_model
from latte.backbone.groups import parameters_of
from latte.backbone.packed import reads_class_token
from latte.backbone.texts import (
    TextPath,
    TokenCache,
    Tokenizer,
    text_features,
    text_lengths,
    text_path_of,
)
from latte.backbone.trunk import has_trunk, project, trunk_states
from latte.interfaces import LatteError, PixelFormat, TrainableGroup
from latte.toolkit.module_backbone import ModuleBackbone

_TEXTS_PER_PASS = 256
_PACKED_TEXTS_PER_PASS = 4096
"""Texts per pass of packed texts on a GPU, where a small pass takes as long as kernel launches."""
_NOTES: Mapping[TextPath, tuple[str, ...]] = {
    "packed": (),
    "cut": ("texts are padded to the longest of a pass, for this text tower needs it",),
    "full": ("texts are padded to the full context length, for this text tower may need it",),
}


class OpenClipBackbone(ModuleBackbone):
    """Any CLIP that open_clip builds, frozen at first."""

    def __init__(
        self,
        model: Any,
        config: Mapping[str, Any],
        tokenizer: Tokenizer,
        *,
        text_in_folder: bool = False,
    ) -> None:
        """Wrap a built model.

        Args:
            model: an open_clip model with its weights, in fp32, on its device.
            config: the `model_cfg` that builds this model.
            tokenizer: open_clip's tokenizer for this model.
            text_in_folder: True if a model folder configures its Hugging Face text tower.
        """
        super().__init__(
            model, _pixel_format(model.visual.preprocess_cfg), int(config["embed_dim"])
        )
        self.config = config
        self.text_path = text_path_of(model)
        """Padding of texts: `packed`, `cut` or `full`; see `text_path_of`."""
        self.image_path: Literal["class token", "full"] = (
            "class token" if reads_class_token(model.visual) else "full"
        )
        """`class token`: the last block computes only this token; `full`: all tokens."""
        self._has_trunk = has_trunk(model.visual)
        self.notes = _NOTES[self.text_path]
        self.tokenizer = tokenizer
        """open_clip's tokenizer, without latte's token cache."""
        self._tokens = TokenCache(tokenizer)
        self._text_in_folder = text_in_folder
        self._memory_format = _memory_format(model.visual)

    def architecture(self) -> Any:
        """Return the configuration without folder paths, so that a moved model stays the same."""
        config = exported_config(self.config)
        if self._text_in_folder:
            del config["text_cfg"]["hf_model_name"]
        return config

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Return the parameters of `group` by name; see `latte.backbone.groups`."""
        return parameters_of(self.model, group)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return unit features (B, D) in fp32 of pixels (B, 3, S, S)."""
        self.choose_mode()
        pixels = pixels.to(self.device, non_blocking=True, memory_format=self._memory_format)
        if self._has_trunk:
            return _unit(project(self.model.visual, trunk_states(self.model.visual, pixels)))
        return _unit(self.model.encode_image(pixels, normalize=False))

    def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) in fp32; texts of similar length share a pass."""
        self.choose_mode()
        tokens = self._tokens(texts)
        lengths = text_lengths(self.model, tokens)
        order = lengths.argsort(stable=True)
        passes = [
            _unit(text_features(self.model, tokens[part], lengths[part], self.text_path))
            for part in torch.split(order, self._texts_per_pass)
        ]
        back = order.argsort().to(self.device, non_blocking=True)
        return torch.cat(passes).index_select(0, back)

    def image_tower(self) -> nn.Module:
        """Return open_clip's module from pixels (B, 3, S, S) to features (B, D)."""
        return self.model.visual  # type: ignore[no-any-return]

    @property
    def _texts_per_pass(self) -> int:
        """Number of texts per pass; small if a pass pads texts, so that it pads little."""
        packs_on_gpu = self.text_path == "packed" and self.device.type != "cpu"
        return _PACKED_TEXTS_PER_PASS if packs_on_gpu else _TEXTS_PER_PASS

    def recompute_activations(self) -> bool:
        """Recompute activations in the backward pass instead of storing them; return True."""
        self.model.set_grad_checkpointing(True)
        return True

    def save(self, folder: Path) -> None:
        """Write a folder that open_clip opens as `local-dir:FOLDER` with the same outputs."""
        save_model(
            self.model,
            self.config,
            self.tokenizer,
            folder,
            text_in_folder=self._text_in_folder,
        )


def _unit(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=-1)


def _memory_format(visual: nn.Module) -> torch.memory_format:
    """Return channels-last for convolutional networks, which run faster with it."""
    convolutional = any(isinstance(module, nn.BatchNorm2d) for module in visual.modules())
    return torch.channels_last if convolutional else torch.contiguous_format


def _pixel_format(preprocess: Mapping[str, Any]) -> PixelFormat:
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise LatteError(
            f"the image tower takes {width}x{height} pixels; latte needs a square",
            where="backbone.model",
        )
    return PixelFormat(
        size=int(height),
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        interpolation="bilinear" if preprocess["interpolation"] == "bilinear" else "bicubic",
        resize_mode=preprocess["resize_mode"],
    )
