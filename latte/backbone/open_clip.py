"""A CLIP of open_clip as latte's backbone."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from latte.backbone.export import exported_config, save_model
from latte.backbone.groups import parameters_of
from latte.backbone.packed import class_token_features, reads_class_token
from latte.backbone.texts import (
    TextPath,
    TokenCache,
    Tokenizer,
    text_features,
    text_lengths,
    text_path_of,
)
from latte.interfaces import Backbone, LatteError, PixelFormat, TrainableGroup
from latte.io.files import digest, digest_json

_TEXTS_PER_PASS = 256
_PACKED_TEXTS_PER_PASS = 4096
"""Larger on a GPU, where the time of a small pass is that of launching its kernels."""
_LARGEST_LOGIT_SCALE = math.log(100)
_NOTES: Mapping[TextPath, tuple[str, ...]] = {
    "packed": (),
    "cut": ("texts are padded to the longest of a pass, for this text tower needs it",),
    "full": ("texts are padded to the full context length, for this text tower may need it",),
}


class OpenClipBackbone(Backbone):
    """Any CLIP that open_clip builds, frozen at first.

    Dropout is active only while a gradient is recorded and parameters train. BatchNorm statistics
    are constant: on small unlabelled batches they would drift away from the pretrained ones.
    """

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
        self.model = model
        self.config = config
        self.text_path = text_path_of(model)
        """Padding of texts: `packed`, `cut` or `full`; see `text_path_of`."""
        self.image_path: Literal["class token", "full"] = (
            "class token" if reads_class_token(model.visual) else "full"
        )
        """`class token`: the last block computes only this token; `full`: all tokens."""
        self.notes = _NOTES[self.text_path]
        self.pixel_format = _pixel_format(model.visual.preprocess_cfg)
        self.embedding_width = int(config["embed_dim"])
        self.tokenizer = tokenizer
        """open_clip's tokenizer, without latte's token cache."""
        self._tokens = TokenCache(tokenizer)
        self._text_in_folder = text_in_folder
        self._constants = {name for name, w in model.named_parameters() if not w.requires_grad}
        self._memory_format = _memory_format(model.visual)
        self._freeze()

    @property
    def device(self) -> torch.device:
        """The device of the weights; inputs are moved to it."""
        return self.model.logit_scale.device  # type: ignore[no-any-return]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the architecture, the pixel format and the weights as loaded."""
        config = exported_config(self.config)
        if self._text_in_folder:  # a moved folder contains the same model
            del config["text_cfg"]["hf_model_name"]
        return digest(
            digest_json([config, asdict(self.pixel_format)]),
            *(
                digest(name, f"{weight.dtype}{tuple(weight.shape)}", _bytes(weight))
                for name, weight in self.state().items()
            ),
        )

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return unit features (B, D) in fp32 of pixels (B, 3, S, S)."""
        self._choose_mode()
        pixels = pixels.to(self.device, non_blocking=True, memory_format=self._memory_format)
        if self.image_path == "class token":
            return _unit(class_token_features(self.model.visual, pixels))
        return _unit(self.model.encode_image(pixels, normalize=False))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) in fp32 of M texts; each distinct text is encoded once."""
        if not texts:
            return torch.zeros(0, self.embedding_width, device=self.device)
        self._choose_mode()
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        features = self._encode_distinct(self._tokens(list(rows)))
        if len(rows) == len(texts):
            return features
        gathered = torch.tensor([rows[text] for text in texts])
        return features.index_select(0, gathered.to(self.device, non_blocking=True))

    def _encode_distinct(self, tokens: Tensor) -> Tensor:
        """Return unit features (M, D) of tokens (M, L); texts of similar length share a pass."""
        lengths = text_lengths(self.model, tokens)
        order = lengths.argsort(stable=True)
        passes = [
            _unit(text_features(self.model, tokens[part], lengths[part], self.text_path))
            for part in torch.split(order, self._texts_per_pass)
        ]
        back = order.argsort().to(self.device, non_blocking=True)
        return torch.cat(passes).index_select(0, back)

    @property
    def _texts_per_pass(self) -> int:
        """A pass that pads texts to the longest is small, so that it pads little."""
        packs_on_gpu = self.text_path == "packed" and self.device.type != "cpu"
        return _PACKED_TEXTS_PER_PASS if packs_on_gpu else _TEXTS_PER_PASS

    @property
    def logit_scale(self) -> Tensor:
        """The scalar that multiplies cosine similarities, with gradient if it trains."""
        return self.model.logit_scale.exp().reshape(())  # type: ignore[no-any-return]

    def clamp_logit_scale(self) -> None:
        """Clamp a trained logit scale to [1, 100]; a frozen one does not change."""
        if self.model.logit_scale.requires_grad:
            with torch.no_grad():
                self.model.logit_scale.clamp_(0.0, _LARGEST_LOGIT_SCALE)

    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Make `group` trainable, freeze the rest, and return the trainable parameters by name.

        Raises:
            LatteError: if the model has no such parameters.
        """
        chosen = {
            name: weight
            for name, weight in parameters_of(self.model, group).items()
            if name not in self._constants
        }
        if chosen:
            _ = self.fingerprint  # computed before training changes the weights
        self._freeze()
        for weight in chosen.values():
            weight.requires_grad_(True)
        self._trains = bool(chosen)
        return chosen

    def recompute_activations(self) -> bool:
        """Recompute activations in the backward pass instead of storing them; return True."""
        self.model.set_grad_checkpointing(True)
        return True

    def fork(self) -> OpenClipBackbone:
        """Return an independent, frozen copy with the same weights and fingerprint."""
        _ = self.fingerprint
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        twin._freeze()
        return twin

    def state(self) -> dict[str, Tensor]:
        """Return weights and buffers by name, as views that change with further training."""
        return {name: weight.detach() for name, weight in self.model.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; the fingerprint does not change.

        Raises:
            LatteError: if `state` belongs to another architecture.
        """
        _ = self.fingerprint
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise LatteError(
                "these weights are not of this backbone",
                hint=str(error).strip().splitlines()[-1].strip(),
            ) from error

    def save(self, folder: Path) -> None:
        """Write a folder that open_clip opens as `local-dir:FOLDER` with the same outputs."""
        save_model(
            self.model,
            self.config,
            self.tokenizer,
            folder,
            text_in_folder=self._text_in_folder,
        )

    def _freeze(self) -> None:
        self._trains = False
        self.model.requires_grad_(False)
        self.model.eval()

    def _choose_mode(self) -> None:
        training = self._trains and torch.is_grad_enabled()
        if self.model.training == training:
            return
        self.model.train(training)
        for module in self.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def _unit(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=-1)


def _bytes(weight: Tensor) -> bytes:
    return weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


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
