"""The backbone for CLIP models of open_clip: encode, split, configure and save a model."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from latte.backbone.groups import parameters_of
from latte.backbone.hub import CONFIG_FILE
from latte.backbone.packed import (
    can_run,
    is_vision_transformer,
    reads_class_token,
    rows_of,
    starts_of,
)
from latte.backbone.source import WEIGHTS_FILE
from latte.backbone.texts import (
    TextPath,
    TokenCache,
    Tokenizer,
    count_cut,
    frozen_text_blocks,
    packed_outputs,
    packed_states,
    project_text,
    states_after_blocks,
    text_features,
    text_lengths,
    text_path_of,
    text_trunk_is_constant,
    text_width,
)
from latte.backbone.trunk import (
    block_states,
    frozen_blocks,
    has_trunk,
    project,
    states_after,
    trunk_is_constant,
    trunk_states,
    trunk_width,
)
from latte.interfaces import LatteError, PixelFormat, TextTrunk, TrainableGroup, Trunk
from latte.io.files import write_atomically, write_json
from latte.toolkit.module_backbone import ModuleBackbone

_TEXTS_PER_PASS = 256
_PACKED_TEXTS_PER_PASS = 4096
"""Number of unpadded texts per pass on a GPU; with fewer, launching kernels takes most time."""
_NOTES: Mapping[TextPath, tuple[str, ...]] = {
    "packed": (),
    "cut": ("texts are padded to the longest of a pass, for this text tower needs it",),
    "full": ("texts are padded to the full context length, for this text tower may need it",),
}
_ALL_TOKENS = "the last image block computes all tokens, for latte does not know these blocks"


class OpenClipBackbone(ModuleBackbone):
    """Backbone that wraps any CLIP model of open_clip. All parameters are frozen at first."""

    def __init__(
        self,
        model: Any,
        config: Mapping[str, Any],
        tokenizer: Tokenizer,
        *,
        text_in_folder: bool = False,
    ) -> None:
        """Wrap an fp32 `model` of open_clip, with its configuration (`model_cfg`) and tokenizer.

        `text_in_folder` is true if the text tower is a Hugging Face model whose configuration is in
        the model folder.
        """
        super().__init__(
            model, _pixel_format(model.visual.preprocess_cfg), int(config["embed_dim"])
        )
        self.config = config
        self.text_path = text_path_of(model)
        """Method of padding texts: `packed`, `cut` or `full`; see `text_path_of`."""
        self.image_path: Literal["class token", "full"] = (
            "class token" if reads_class_token(model.visual) else "full"
        )
        """Tokens that the last image block computes: only the `class token`, or all (`full`)."""
        self._has_trunk = has_trunk(model.visual)
        self.notes: tuple[str, ...] = _NOTES[self.text_path]
        if is_vision_transformer(model.visual) and not can_run(model.visual.transformer):
            self.notes += (_ALL_TOKENS,)
        self.tokenizer = tokenizer
        """open_clip's tokenizer, without latte's token cache."""
        self._tokens = TokenCache(tokenizer)
        self._text_in_folder = text_in_folder
        self._memory_format = _memory_format(model.visual)

    def architecture(self) -> Any:
        """Return the model's configuration without folder paths, which do not affect outputs."""
        config = exported_config(self.config)
        if self._text_in_folder:
            del config["text_cfg"]["hf_model_name"]
        return config

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Return the parameters of `group` by name; see `latte.backbone.groups`."""
        return parameters_of(self.model, group)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return unit features (B, D) in fp32 of pixels (B, 3, S, S)."""
        if self._has_trunk:
            return self._image_features(self._image_states(pixels))
        self.choose_mode()
        return _unit(self.model.encode_image(self._on_device(pixels), normalize=False))

    def image_trunk(self) -> Trunk | None:
        """Return the image tower split into frozen and other layers; None if it cannot be split.

        If all blocks are frozen, the frozen part is every layer before the projection; otherwise it
        is every layer before the first trained block. Frozen layers with dropout are not split off.
        """
        visual = self.model.visual
        if not self._has_trunk:
            return None
        if trunk_is_constant(visual):
            return Trunk(trunk_width(visual), self._image_states, self._image_features)
        count = frozen_blocks(visual)
        return self._blocks_trunk(count) if count else None

    def text_trunk(self) -> TextTrunk | None:
        """Return the text tower split into frozen and other layers; None if it cannot be split.

        If all blocks are frozen, the frozen part is every layer before the projection, and its
        output has one row per text. Otherwise the frozen part is every layer before the first
        trained block, and its output has one row per token.
        """
        if text_trunk_is_constant(self.model, self.text_path):
            return TextTrunk(
                text_width(self.model),
                lambda texts: torch.ones(len(texts), dtype=torch.int64),
                self._text_states,
                lambda states, lengths: _unit(project_text(self.model, states)),
            )
        count = frozen_text_blocks(self.model, self.text_path)
        if not count:
            return None
        return TextTrunk(
            text_width(self.model),
            lambda texts: text_lengths(self.model, self._tokens(texts)),
            partial(self._text_outputs, count=count),
            partial(self._features_after_blocks, count=count),
        )

    def _blocks_trunk(self, count: int) -> Trunk:
        visual, side = self.model.visual, self.pixel_format.size

        def states(pixels: Tensor) -> Tensor:
            self.choose_mode()
            return block_states(visual, self._on_device(pixels), count)

        with torch.no_grad():
            shape = states(torch.zeros(1, 3, side, side)).shape[1:]

        def features(flat_outputs: Tensor) -> Tensor:
            self.choose_mode()
            outputs = flat_outputs.view(-1, *shape).contiguous(memory_format=self._memory_format)
            return self._image_features(states_after(visual, outputs, count))

        return Trunk(shape.numel(), lambda pixels: states(pixels).flatten(1), features)

    def _image_states(self, pixels: Tensor) -> Tensor:
        self.choose_mode()
        return trunk_states(self.model.visual, self._on_device(pixels))

    def _image_features(self, states: Tensor) -> Tensor:
        self.choose_mode()
        return _unit(project(self.model.visual, states))

    def _text_states(self, texts: Sequence[str]) -> Tensor:
        return self._in_passes(texts, partial(packed_states, self.model))

    def _text_outputs(self, texts: Sequence[str], count: int) -> Tensor:
        self.choose_mode()
        tokens = self._tokens(texts)
        lengths = text_lengths(self.model, tokens)
        order = lengths.argsort(stable=True)
        encode = partial(packed_outputs, self.model, count=count)
        batches = torch.split(order, self._texts_per_pass)
        outputs = torch.cat([encode(tokens[batch], lengths[batch]) for batch in batches])
        rows = rows_of(starts_of(lengths[order])[order.argsort()], lengths)
        return outputs.index_select(0, rows.to(self.device, non_blocking=True))

    def _features_after_blocks(self, outputs: Tensor, lengths: Tensor, count: int) -> Tensor:
        self.choose_mode()
        encode = partial(states_after_blocks, self.model, start=count)
        starts = starts_of(lengths)

        def features(part: Tensor) -> Tensor:
            rows = rows_of(starts[part], lengths[part]).to(self.device, non_blocking=True)
            return _unit(project_text(self.model, encode(outputs[rows], lengths[part])))

        return self.encode_by_length(lengths, self._texts_per_pass, features)

    def _on_device(self, pixels: Tensor) -> Tensor:
        return pixels.to(self.device, non_blocking=True, memory_format=self._memory_format)

    def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) in fp32; texts of similar length share a forward pass."""
        encode = partial(text_features, self.model, path=self.text_path)
        return self._in_passes(texts, lambda tokens, lengths: _unit(encode(tokens, lengths)))

    def _in_passes(
        self, texts: Sequence[str], encode: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        self.choose_mode()
        tokens = self._tokens(texts)
        lengths = text_lengths(self.model, tokens)
        return self.encode_by_length(
            lengths, self._texts_per_pass, lambda part: encode(tokens[part], lengths[part])
        )

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts that are longer than the context of the text tower."""
        return count_cut(self.tokenizer, texts)

    def image_tower(self) -> nn.Module:
        """Return open_clip's module that maps pixels (B, 3, S, S) to features (B, D)."""
        return self.model.visual  # type: ignore[no-any-return]

    @property
    def _texts_per_pass(self) -> int:
        """Number of texts per forward pass; large only for unpadded texts on a GPU."""
        packs_on_gpu = self.text_path == "packed" and self.device.type != "cpu"
        return _PACKED_TEXTS_PER_PASS if packs_on_gpu else _TEXTS_PER_PASS

    def recompute_activations(self) -> bool:
        """Recompute activations in the backward pass instead of storing them."""
        self.model.set_grad_checkpointing(True)
        return True

    def save(self, folder: Path) -> None:
        """Write a folder that open_clip opens as `local-dir:FOLDER` with the same outputs.

        If a Hugging Face text tower was loaded from a folder, the saved configuration contains the
        absolute path of `folder`, because open_clip does not resolve relative paths. If `folder` is
        moved later, only latte can open it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(folder / WEIGHTS_FILE) as temporary:
            save_file(_exported_weights(self.model), temporary, metadata={"format": "pt"})
        _save_hugging_face_files(self.model, self.tokenizer, folder)
        config = exported_config(self.config, folder if self._text_in_folder else None)
        preprocess = self.model.visual.preprocess_cfg
        write_json(folder / CONFIG_FILE, {"model_cfg": config, "preprocess_cfg": preprocess})


def _unit(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=-1)


def _memory_format(visual: nn.Module) -> torch.memory_format:
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


def exported_config(config: Mapping[str, Any], text_folder: Path | None = None) -> dict[str, Any]:
    """Return a copy of `config` (`model_cfg`) with which no tower downloads pretrained weights.

    If `text_folder` is given, the configuration of a Hugging Face text tower is read from it.
    """
    exported = copy.deepcopy(dict(config))
    exported["quick_gelu"] = bool(exported.get("quick_gelu", False))
    if "timm_model_name" in exported["vision_cfg"]:
        exported["vision_cfg"]["timm_model_pretrained"] = False
    if exported["text_cfg"].get("hf_model_name"):
        exported["text_cfg"]["hf_model_pretrained"] = False
        if text_folder is not None:
            exported["text_cfg"]["hf_model_name"] = str(text_folder.absolute())
    return exported


def _exported_weights(model: Any) -> dict[str, Tensor]:
    """Return all weights by name; weights that share memory are copied, as safetensors requires."""
    weights_by_name: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in model.state_dict().items():
        weight = tensor.detach().cpu()
        weight = (weight.float() if weight.is_floating_point() else weight).contiguous()
        storage = weight.untyped_storage().data_ptr()
        weights_by_name[name] = weight.clone() if storage in storages else weight
        storages.add(storage)
    return weights_by_name


def _save_hugging_face_files(model: Any, tokenizer: Any, folder: Path) -> None:
    text_config = getattr(getattr(model, "text", None), "config", None)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for owner in (text_config, tokenizer):
            save = getattr(owner, "save_pretrained", None)
            if save is not None:
                save(temporary)
        for path in Path(temporary).iterdir():
            path.replace(folder / path.name)
