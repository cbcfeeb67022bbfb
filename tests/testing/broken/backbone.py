"""Backbones; each has one fault."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from latte.api import TextTrunk, TrainableGroup, Trunk
from latte.testing import BackboneContract
from tests.helpers.small_backbone import (
    ImageTower,
    SmallBackbone,
    SmallLoader,
    SmallModel,
    loader_of,
)
from tests.testing.broken.fault import Fault


class Unidentified(SmallLoader):
    def identity(self) -> str:
        return os.urandom(8).hex()


class TestItsIdentityChanges(Fault, BackboneContract):
    broken = Unidentified
    fails: ClassVar = {"the_model_is_found_without_loading_it"}


class Long(SmallBackbone):
    def encode_images(self, pixels: Tensor) -> Tensor:
        return 2 * super().encode_images(pixels)

    def image_trunk(self) -> None:
        return None


class TestImageFeaturesOfLengthTwo(Fault, BackboneContract):
    broken = loader_of(Long)
    fails: ClassVar = {"features_are_finite_unit_rows"}


class Forgetful(SmallBackbone):
    """Reads the first two characters of texts."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return super().tokens([text[:2] for text in texts])


class TestTextsWithEqualFeatures(Fault, BackboneContract):
    broken = loader_of(Forgetful)
    fails: ClassVar = {"features_differ", "long_texts_that_are_cut_are_counted"}


class Random(SmallLoader):
    def load(self) -> SmallBackbone:
        return SmallBackbone(SmallModel())


class TestRandomWeights(Fault, BackboneContract):
    broken = Random
    fails: ClassVar = {"it_is_deterministic"}


class Padded(SmallBackbone):
    """Pads texts to the longest of the call, and averages over the padding too."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        longest = max(map(len, texts))
        return super().tokens([text.ljust(longest) for text in texts])


class TestTextsDependOnOtherTexts(Fault, BackboneContract):
    broken = loader_of(Padded)
    fails: ClassVar = {"a_feature_does_not_depend_on_other_texts"}


class Centred(SmallBackbone):
    """Subtracts a tenth of the mean image of the batch."""

    def encode_images(self, pixels: Tensor) -> Tensor:
        return super().encode_images(self._centred(pixels))

    def image_states(self, pixels: Tensor) -> Tensor:
        return super().image_states(self._centred(pixels))

    @staticmethod
    def _centred(pixels: Tensor) -> Tensor:
        return pixels - 0.1 * pixels.mean(dim=0)


class TestImagesDependOnOtherImages(Fault, BackboneContract):
    broken = loader_of(Centred)
    fails: ClassVar = {"an_image_feature_does_not_depend_on_other_images"}


class Thawed(SmallBackbone):
    """Keeps its projections trainable."""

    def _freeze(self) -> None:
        super()._freeze()
        self.model.image.projection.requires_grad_(True)


class TestItIsNeverFrozen(Fault, BackboneContract):
    broken = loader_of(Thawed)
    fails: ClassVar = {
        "it_is_frozen_when_loaded",
        "gradient_reaches_each_group",
        "layer_norms_belong_to_their_tower",
    }


class Swapped(SmallBackbone):
    """Mixes up the layer norms of its towers."""

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        other: Mapping[TrainableGroup, TrainableGroup] = {
            "visual_layer_norms": "text_layer_norms",
            "text_layer_norms": "visual_layer_norms",
        }
        return super().parameters_of(other.get(group, group))


class TestLayerNormsOfTheOtherTower(Fault, BackboneContract):
    broken = loader_of(Swapped)
    fails: ClassVar = {"layer_norms_belong_to_their_tower"}


class Empty(SmallBackbone):
    """Has no text layer norms, although it declares them."""

    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        return {} if group == "text_layer_norms" else super().parameters_of(group)


class TestAGroupWithoutParameters(Fault, BackboneContract):
    broken = loader_of(Empty)
    fails: ClassVar = {"gradient_reaches_each_group", "layer_norms_belong_to_their_tower"}


class Stale(SmallBackbone):
    """Returns a trunk also if its blocks train."""

    def image_trunk(self) -> Trunk:
        return Trunk(8, self._frozen_states, self.projected)

    def _frozen_states(self, pixels: Tensor) -> Tensor:
        return self.image_states(pixels).detach()


class TestATrunkThatTrains(Fault, BackboneContract):
    broken = loader_of(Stale)
    fails: ClassVar = {"trunks_give_the_features_of_their_towers"}


class Exchanged(SmallBackbone):
    """Exchanges the states of two tokens of different texts."""

    def text_trunk(self) -> TextTrunk | None:
        trunk = super().text_trunk()
        return None if trunk is None else replace(trunk, states=self._exchanged)

    def _exchanged(self, texts: Sequence[str]) -> Tensor:
        states = self.token_states(texts)
        return torch.cat([states[-1:], states[1:-1], states[:1]])


class TestATextTrunkWithExchangedStates(Fault, BackboneContract):
    broken = loader_of(Exchanged)
    fails: ClassVar = {"trunks_give_the_features_of_their_towers"}


class Unlimited(SmallBackbone):
    def clamp_logit_scale(self) -> None:
        pass


class TestTheLogitScaleHasNoLimit(Fault, BackboneContract):
    broken = loader_of(Unlimited)
    fails: ClassVar = {"the_logit_scale_is_limited"}


class Shared(SmallBackbone):
    """Copies share their weights with the original."""

    def fork(self) -> Self:
        twin = super().fork()
        twin.model = self.model
        return twin


class TestACopyTrainsTheOriginal(Fault, BackboneContract):
    broken = loader_of(Shared)
    fails: ClassVar = {"a_copy_is_independent"}


class Unrestored(SmallBackbone):
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        pass


class TestItsStateIsNotRestored(Fault, BackboneContract):
    broken = loader_of(Unrestored)
    fails: ClassVar = {"its_state_restores_it"}


class Halved(SmallBackbone):
    """Saves in half precision."""

    def save(self, folder: Path) -> None:
        whole = self.model
        self.model = self.fork().model.half()
        super().save(folder)
        self.model = whole


class TestASavedModelIsRounded(Fault, BackboneContract):
    broken = loader_of(Halved)
    fails: ClassVar = {"a_saved_model_has_the_same_bits"}


class Approximate(SmallBackbone):
    """Changes a weight instead of recomputing activations."""

    def recompute_activations(self) -> bool:
        with torch.no_grad():
            self.model.image.projection.weight.add_(0.1)
        return True


class TestRecomputedActivationsDiffer(Fault, BackboneContract):
    broken = loader_of(Approximate)
    fails: ClassVar = {"recomputed_activations_give_the_same_gradient"}


class HiddenStates(nn.Module):
    """Image tower without its projection."""

    def __init__(self, model: SmallModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.image.frozen_part(self.model.pooled(pixels))


class WithoutProjection(SmallBackbone):
    def image_tower(self) -> nn.Module:
        return HiddenStates(self.model)


class TestTheImageTowerLacksItsProjection(Fault, BackboneContract):
    broken = loader_of(WithoutProjection)
    fails: ClassVar = {"the_image_tower_gives_the_image_features"}


class KeepsTower(SmallBackbone):
    """Builds the image tower once, so copies have the tower of the original."""

    def __init__(self, model: SmallModel) -> None:
        super().__init__(model)
        self._tower = ImageTower(model)

    def image_tower(self) -> nn.Module:
        return self._tower


class TestACopyHasTheImageTowerOfTheOriginal(Fault, BackboneContract):
    broken = loader_of(KeepsTower)
    fails: ClassVar = {"the_image_tower_gives_the_image_features"}


class TwoImages(ImageTower):
    """Image tower that loops over the images of a batch."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([super(TwoImages, self).forward(one.unsqueeze(0)) for one in pixels])


class OneByOne(SmallBackbone):
    def image_tower(self) -> nn.Module:
        return TwoImages(self.model)


class TestTheImageTowerCannotBeTraced(Fault, BackboneContract):
    broken = loader_of(OneByOne)
    fails: ClassVar = {"the_image_tower_can_be_exported"}


class Reversed(SmallBackbone):
    def blocks(self) -> list[list[str]]:
        return [[*reversed(tower)] for tower in super().blocks()]


class TestBlocksInReverseOrder(Fault, BackboneContract):
    broken = loader_of(Reversed)
    fails: ClassVar = {"blocks_are_listed_by_tower_and_in_order"}


class TextOnly(SmallBackbone):
    """Lists blocks of the text tower as those of the image tower."""

    def blocks(self) -> list[list[str]]:
        _, text = super().blocks()
        return [text[:1], text[1:]]


class TestBlocksOfTheTextTowerOnly(Fault, BackboneContract):
    broken = loader_of(TextOnly)
    fails: ClassVar = {"blocks_are_listed_by_tower_and_in_order"}


class Mixed(SmallBackbone):
    def blocks(self) -> list[list[str]]:
        image, text = super().blocks()
        return [[*image, *text]]


class TestBlocksOfBothTowersInOneList(Fault, BackboneContract):
    broken = loader_of(Mixed)
    fails: ClassVar = {"blocks_are_listed_by_tower_and_in_order"}


class Unused(SmallBackbone):
    """Lists a layer that no forward pass uses."""

    def blocks(self) -> list[list[str]]:
        image, text = super().blocks()
        return [[*image, "unused"], text]


class TestBlocksThatAreNotUsed(Fault, BackboneContract):
    broken = loader_of(Unused)
    fails: ClassVar = {"blocks_are_listed_by_tower_and_in_order"}


class Misspelt(SmallBackbone):
    def blocks(self) -> list[list[str]]:
        image, text = super().blocks()
        return [image, [f"{name}.block" for name in text]]


class TestBlocksThatDoNotExist(Fault, BackboneContract):
    broken = loader_of(Misspelt)
    fails: ClassVar = {"blocks_are_listed_by_tower_and_in_order"}


class Salted(SmallBackbone):
    """Hashes words with Python's `hash`, which differs in each process."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [[0, *(hash(word) % 256 for word in text.split())] for text in texts]


class SaltedLoader(SmallLoader):
    backbone = Salted


class TestATokenizerWithSaltedHashes(Fault, BackboneContract):
    broken = SaltedLoader
    fails: ClassVar = {"features_are_equal_in_another_process"}


class Raw(SmallLoader):
    """Stores the logit scale itself, not its logarithm."""

    def load(self) -> SmallBackbone:
        backbone = super().load()
        backbone.model.logit_scale.data.fill_(14.3)
        return backbone


class TestTheLogitScaleIsNoLogarithm(Fault, BackboneContract):
    broken = Raw
    fails: ClassVar = {"the_logit_scale_is_limited"}


class Cutting(SmallBackbone):
    """Reads the first hundred characters of texts and counts no text as cut."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return super().tokens([text[:100] for text in texts])


class TestTextsThatAreCutAreNotCounted(Fault, BackboneContract):
    broken = loader_of(Cutting)
    fails: ClassVar = {"long_texts_that_are_cut_are_counted"}
