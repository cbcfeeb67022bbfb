"""Mutants of encoders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from latte_author.testing import EncoderContract, StubEncoder
from torch import Tensor, nn

from latte.api import EncoderLoader, LatteError, ModuleEncoder, NoOptions
from tests.author.testing.mutants import Mutant, Mutants, mutant

NUMBERS = count()


class Stub(EncoderLoader[NoOptions]):
    def load(self) -> StubEncoder:
        return StubEncoder()

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> ModuleEncoder:
        return ModuleEncoder.load(folder, lambda about: StubEncoder(about["width"]).module, device)


def encoding(change: Callable[[Tensor], Tensor]) -> Mutant:
    """Return a loader whose encoder changes its features (B, D)."""

    def encode(encoder: StubEncoder, pixels: Tensor) -> Tensor:
        return change(ModuleEncoder.encode_images(encoder, pixels))

    return loading(encode_images=encode)


def loading(**changes: Any) -> Mutant:
    """Return a loader of an encoder in whose body the attributes `changes` stand."""
    broken = type("BrokenEncoder", (StubEncoder,), changes)
    return mutant(Stub, load=lambda _: broken())


def refuse(loader: Stub) -> None:
    raise LatteError("there is no such encoder")


MUTANTS: Mutants = {
    EncoderContract: {
        "the_model_is_found_without_loading_it": mutant(Stub, check=refuse),
        "features_are_finite_unit_rows_that_differ": encoding(lambda rows: 2 * rows),
        "a_feature_does_not_depend_on_other_images": encoding(
            lambda rows: nn.functional.normalize(rows - rows.mean(0) / 2, dim=1)
        ),
        "it_is_deterministic": loading(fingerprint=property(lambda _: f"{next(NUMBERS)}")),
        "a_saved_model_is_the_same": mutant(Stub, load_saved=lambda folder, device: StubEncoder(5)),
        "the_image_tower_gives_the_features": loading(
            image_tower=lambda encoder: nn.Sequential(encoder.module, nn.Softmax(dim=1))
        ),
        "its_weights_are_counted": loading(state=lambda _: dict[str, torch.Tensor]()),
    }
}
