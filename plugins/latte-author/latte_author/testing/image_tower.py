"""Check that an encoder's module for exports gives the features of the encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Encoder
from latte_author.testing.fixtures import noise


def check_image_tower(encoder: Encoder, difference: str) -> None:
    """Raise `AssertionError`, which states the `difference`, if `image_tower` has other features.

    The encoder must have an image tower.
    """
    tower = encoder.image_tower()
    assert tower is not None, "image_tower() returns a module or None, but not both"
    with torch.no_grad():
        expected_features, features_of_tower = (
            encoder.encode_images(noise(encoder)),
            tower.eval()(noise(encoder)),
        )
    assert isinstance(features_of_tower, Tensor), (
        f"image_tower() returns a {type(features_of_tower).__name__}"
    )
    assert features_of_tower.shape == expected_features.shape, (
        f"image_tower() has outputs of shape {features_of_tower.shape}"
    )
    features = normalize(features_of_tower.float(), dim=1)
    assert torch.allclose(features, expected_features, atol=1e-5), (
        f"{difference}, so the ONNX export would be wrong"
    )
