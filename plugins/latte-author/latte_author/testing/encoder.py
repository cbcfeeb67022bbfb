"""Contract tests of encoders: image-only models beside the CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from latte.api import Encoder, EncoderLoader, Kind
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import noise
from latte_author.testing.image_tower import check_image_tower


class EncoderContract(ComponentContract):
    """Tests that an encoder gives usable features, and can be saved and opened again.

    Example:
        >>> from latte_author.testing import EncoderContract
        >>> class TestMine(EncoderContract):
        ...     component = "mine"
    """

    kind: ClassVar[Kind] = "encoder"

    def loader(self, folder: Path) -> EncoderLoader[Any]:
        """Create `folder`; return a new loader, which resolves relative paths against `folder`."""
        loader: EncoderLoader[Any] = self.make(folder)
        return loader

    def load(self, folder: Path) -> Encoder:
        """Load the pretrained encoder."""
        return self.loader(folder).load()

    def test_the_model_is_found_without_loading_it(self, tmp_path: Path) -> None:
        """The loader's `check` must accept the model; equal options must give equal `identity`."""
        loader = self.loader(tmp_path)
        loader.check()
        assert loader.title
        assert loader.identity() == self.loader(tmp_path).identity()
        assert isinstance(loader.is_cached(), bool)

    def test_features_are_finite_unit_rows_that_differ(self, tmp_path: Path) -> None:
        """Features must be distinct unit vectors (B, D) in fp32, without gradient."""
        encoder = self.load(tmp_path)
        features = encoder.encode_images(noise(encoder))
        assert features.shape == (3, encoder.embedding_width), f"shape {features.shape}"
        assert features.dtype == torch.float32, f"features are {features.dtype}"
        assert not features.requires_grad, "an encoder is never trained"
        assert bool(features.isfinite().all()), "a feature is not finite"
        lengths = features.norm(dim=1)
        assert torch.allclose(lengths, torch.ones(3), atol=1e-5), f"lengths are {lengths}"
        assert len({tuple(row) for row in features.tolist()}) == 3, "images have equal features"

    def test_a_feature_does_not_depend_on_other_images(self, tmp_path: Path) -> None:
        """Other images in a batch may change an image's feature by rounding only."""
        encoder = self.load(tmp_path)
        pixels = noise(encoder)
        single_feature = encoder.encode_images(pixels[1:2])
        assert torch.allclose(single_feature[0], encoder.encode_images(pixels)[1], atol=1e-5)

    def test_it_is_deterministic(self, tmp_path: Path) -> None:
        """Equal inputs must give bit-identical features, even after loading the model again."""
        encoder, reloaded = self.load(tmp_path), self.load(tmp_path)
        features = encoder.encode_images(noise(encoder))
        assert torch.equal(features, encoder.encode_images(noise(encoder)))
        assert torch.equal(features, reloaded.encode_images(noise(encoder)))
        assert encoder.fingerprint == reloaded.fingerprint

    def test_a_saved_model_is_the_same(self, tmp_path: Path) -> None:
        """Saving and loading must keep features, pixel format and fingerprint."""
        loader = self.loader(tmp_path)
        encoder = loader.load()
        encoder.save(tmp_path / "saved")
        saved = type(loader).load_saved(tmp_path / "saved", "cpu")
        assert saved.pixel_format == encoder.pixel_format
        assert saved.fingerprint == encoder.fingerprint, "a saved model has another fingerprint"
        pixels = noise(encoder)
        assert torch.equal(encoder.encode_images(pixels), saved.encode_images(pixels))

    def test_the_image_tower_gives_the_features(self, tmp_path: Path) -> None:
        """Outputs of `image_tower()` must be the features before normalisation."""
        encoder = self.load(tmp_path)
        if encoder.image_tower() is None:
            pytest.skip("`image_tower` returns None: the encoder has no ONNX export")
        check_image_tower(encoder, "image_tower() gives other features than encode_images")

    def test_its_weights_are_counted(self, tmp_path: Path) -> None:
        """`state` must return the weights, whose number and size latte states."""
        assert sum(weight.numel() for weight in self.load(tmp_path).state().values()) > 0
