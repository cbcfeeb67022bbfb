"""Backbone of two small towers with blocks, as a plugin would write it, for broken variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from latte.api import (
    BackboneLoader,
    ModuleBackbone,
    NoOptions,
    PixelFormat,
    TextTrunk,
    TrainableGroup,
    Trunk,
)

WIDTH = 8
PIXELS = PixelFormat(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_SIDE = 4
_WEIGHTS = "small.safetensors"
_PARTS: Mapping[TrainableGroup, tuple[str, ...]] = {
    "all": ("",),
    "visual_layer_norms": ("image.norm",),
    "text_layer_norms": ("text.norm",),
    "projections": ("image.projection", "text.projection"),
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        return states + self.linear(states).tanh()


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm = nn.LayerNorm(WIDTH)
        self.projection = nn.Linear(WIDTH, WIDTH)

    def frozen_part(self, states: Tensor) -> Tensor:
        for block in self.blocks:
            states = block(states)
        normed: Tensor = self.norm(states)
        return normed

    def forward(self, states: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.frozen_part(states))
        return projected


class SmallModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(3 * _SIDE**2, WIDTH)
        self.image = Tower()
        self.words = nn.Embedding(256, WIDTH)
        self.text = Tower()
        self.unused = nn.Linear(WIDTH, WIDTH)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def pooled(self, pixels: Tensor) -> Tensor:
        patches: Tensor = self.patches(adaptive_avg_pool2d(pixels, _SIDE).flatten(1))
        return patches


class ImageTower(nn.Module):
    def __init__(self, model: SmallModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        image_features: Tensor = self.model.image(self.model.pooled(pixels))
        return image_features


class SmallBackbone(ModuleBackbone):
    model: SmallModel

    def __init__(self, model: SmallModel) -> None:
        super().__init__(model, PIXELS, WIDTH)

    def architecture(self) -> str:
        return "small"

    def encode_images(self, pixels: Tensor) -> Tensor:
        self.choose_mode()
        return normalize(self.model.image(self.model.pooled(pixels)), dim=1)

    def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        self.choose_mode()
        return self.text_features(self.token_states(texts), self.token_counts(texts))

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the bytes of each text after a zero, which marks the start."""
        return [[0, *text.encode()] for text in texts]

    def token_counts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([len(token_ids) for token_ids in self.tokens(texts)])

    def token_states(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings (T, W) of all tokens."""
        embeddings: Tensor = self.model.words(torch.tensor([*chain(*self.tokens(texts))]))
        return embeddings

    def text_features(self, states: Tensor, counts: Tensor) -> Tensor:
        """Return unit features (M, D) of the mean state of each text."""
        means = [text_states.mean(dim=0) for text_states in states.split(counts.tolist())]
        return normalize(self.model.text(torch.stack(means)), dim=1)

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        starts = _PARTS.get(group, ())
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if name.startswith(starts)
        }

    def image_trunk(self) -> Trunk | None:
        names = {
            name for name, parameter in self.model.named_parameters() if parameter.requires_grad
        }
        if not names <= {*self.parameters_of("projections")}:
            return None
        return Trunk(WIDTH, self.image_states, self.projected)

    def text_trunk(self) -> TextTrunk | None:
        if any(parameter.requires_grad for parameter in self.model.words.parameters()):
            return None
        return TextTrunk(WIDTH, self.token_counts, self.token_states, self.text_features)

    def image_states(self, pixels: Tensor) -> Tensor:
        return self.model.image.frozen_part(self.model.pooled(pixels))

    def projected(self, states: Tensor) -> Tensor:
        return normalize(self.model.image.projection(states), dim=1)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state(), folder / _WEIGHTS)


class ExportableBackbone(SmallBackbone):
    """Small backbone with an ONNX export; checks of the export take a second."""

    def image_tower(self) -> nn.Module:
        return ImageTower(self.model)


class SmallLoader(BackboneLoader[NoOptions]):
    backbone: ClassVar[type[SmallBackbone]] = SmallBackbone

    def load(self) -> SmallBackbone:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.backbone(SmallModel())

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> SmallBackbone:
        model = SmallModel()
        model.load_state_dict(load_file(folder / _WEIGHTS))
        return cls.backbone(model)


def loader_of(broken: type[SmallBackbone]) -> type[SmallLoader]:
    """Return a loader of `broken`."""
    return type(f"{broken.__name__}Loader", (SmallLoader,), {"backbone": broken})
