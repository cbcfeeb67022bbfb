"""Mutants of backbones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from latte_author.testing import BackboneContract
from torch import Tensor, nn

from latte.api import TextTrunk, TrainableGroup
from tests.author.testing.mutants import Mutant, Mutants, mutant, replaced
from tests.helpers.small_backbone import (
    ExportableBackbone,
    ImageTower,
    SmallBackbone,
    SmallLoader,
    SmallModel,
    loader_of,
)

_SWAPPED: Mapping[TrainableGroup, TrainableGroup] = {
    "visual_layer_norms": "text_layer_norms",
    "text_layer_norms": "visual_layer_norms",
}


def backbone(base: type[SmallBackbone] = SmallBackbone, **changes: Any) -> Mutant:
    """Return a mutant of `base`, whose loaders return it."""
    return replaced(loader_of(base), loader_of(type("Broken", (base,), changes)))


def tokens(change: Any) -> Mutant:
    """Return a backbone that reads `change(texts)` instead of texts."""
    return backbone(tokens=lambda self, texts: SmallBackbone.tokens(self, change(texts)))


class Salted(SmallBackbone):
    """Hashes words with Python's `hash`, which differs in each process."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [[0, *(hash(word) % 256 for word in text.split())] for text in texts]


class SaltedLoader(SmallLoader):
    backbone = Salted


class Centred(SmallBackbone):
    """Subtracts a tenth of the mean image of the batch."""

    def encode_images(self, pixels: Tensor) -> Tensor:
        return super().encode_images(pixels - 0.1 * pixels.mean(dim=0))


class Thawed(SmallBackbone):
    """Keeps its projections trainable."""

    def _freeze(self) -> None:
        super()._freeze()
        self.model.image.projection.requires_grad_(True)


class Exchanged(SmallBackbone):
    """Exchanges the states of two tokens of different texts."""

    def text_trunk(self) -> TextTrunk | None:
        trunk = super().text_trunk()
        return None if trunk is None else replace(trunk, states=self._exchanged)

    def _exchanged(self, texts: Sequence[str]) -> Tensor:
        states = self.token_states(texts)
        return torch.cat([states[-1:], states[1:-1], states[:1]])


class SharedWeights(SmallBackbone):
    """Shares its weights with its copies."""

    def fork(self) -> Self:
        twin = super().fork()
        twin.model = self.model
        return twin


class Halved(SmallBackbone):
    """Saves in half precision."""

    def save(self, folder: Path) -> None:
        model = self.model
        self.model = self.fork().model.half()
        super().save(folder)
        self.model = model


class Recomputing(SmallBackbone):
    """Claims to recompute activations."""

    def recompute_activations(self) -> bool:
        return True


class Approximate(Recomputing):
    """Changes a weight instead of recomputing activations."""

    def recompute_activations(self) -> bool:
        self.model.image.projection.weight.data.add_(0.1)
        return True


class OneTower(ExportableBackbone):
    """Builds the image tower once, so copies have the tower of the original."""

    def __init__(self, model: SmallModel) -> None:
        super().__init__(model)
        self._tower = ImageTower(model)

    def image_tower(self) -> nn.Module:
        return self._tower


class Loop(ImageTower):
    """Image tower that loops over the images of a batch."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([super(Loop, self).forward(one.unsqueeze(0)) for one in pixels])


MUTANTS: Mutants = {
    BackboneContract: {
        "the_model_is_found_without_loading_it": mutant(
            SmallLoader, identity=lambda _: os.urandom(8).hex()
        ),
        "features_are_finite_unit_rows": backbone(
            encode_images=lambda self, pixels: 2 * SmallBackbone.encode_images(self, pixels)
        ),
        "features_differ": tokens(lambda texts: [text[:2] for text in texts]),
        "it_is_deterministic": mutant(SmallLoader, load=lambda _: SmallBackbone(SmallModel())),
        "features_are_equal_in_another_process": replaced(SmallLoader, SaltedLoader),
        "long_texts_that_are_cut_are_counted": tokens(lambda texts: [text[:9] for text in texts]),
        "a_feature_does_not_depend_on_other_texts": tokens(
            lambda texts: [text.ljust(max(map(len, texts))) for text in texts]
        ),
        "an_image_feature_does_not_depend_on_other_images": replaced(
            SmallLoader, loader_of(Centred)
        ),
        "it_is_frozen_when_loaded": replaced(SmallLoader, loader_of(Thawed)),
        "gradient_reaches_each_group": backbone(
            parameters_of=lambda self, group: (
                {} if group == "text_layer_norms" else SmallBackbone.parameters_of(self, group)
            )
        ),
        "trunks_give_the_features_of_their_towers": replaced(SmallLoader, loader_of(Exchanged)),
        "layer_norms_belong_to_their_tower": backbone(
            parameters_of=lambda self, group: SmallBackbone.parameters_of(
                self, _SWAPPED.get(group, group)
            )
        ),
        "the_logit_scale_is_limited": backbone(clamp_logit_scale=lambda _: None),
        "a_copy_is_independent": replaced(SmallLoader, loader_of(SharedWeights)),
        "its_state_restores_it": backbone(load_state=lambda self, state: None),
        "a_saved_model_has_the_same_bits": replaced(SmallLoader, loader_of(Halved)),
        "recomputed_activations_give_the_same_gradient": replaced(
            loader_of(Recomputing), loader_of(Approximate)
        ),
        "the_image_tower_gives_the_image_features": replaced(
            loader_of(ExportableBackbone), loader_of(OneTower)
        ),
        "the_image_tower_can_be_exported": backbone(
            ExportableBackbone, image_tower=lambda self: Loop(self.model)
        ),
        "blocks_are_listed_by_tower_and_in_order": backbone(
            blocks=lambda self: [tower[::-1] for tower in SmallBackbone.blocks(self)]
        ),
    },
}
