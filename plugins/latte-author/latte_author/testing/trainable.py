"""Contract tests of components that choose the parameters to train, on a tiny random CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from latte.api import Backbone, BackboneLoader, Kind, Trainable
from latte.api.plugins import load_registry
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import noise
from latte_author.testing.tiny_runs import write_tiny_clip

TEXTS = ("a photo of a cat.", "a photo of a dog.", "a small red house")


class TrainableContract(ComponentContract):
    """Tests that exactly the chosen parameters are trained and that the model can be saved.

    Example:
        >>> from latte_author.testing import TrainableContract
        >>> class TestBiases(TrainableContract):
        ...     component = "biases"
    """

    kind: ClassVar[Kind] = "trainable"

    def test_only_the_chosen_parameters_train(self, tmp_path: Path) -> None:
        """Training must change chosen parameters only; other weights must stay bit-identical."""
        backbone = self._backbone(tmp_path)
        trainable: Trainable[Any] = self.make(tmp_path)
        parameters = trainable.select(backbone)
        assert parameters, "no parameter trains"
        initial_state = {name: tensor.clone() for name, tensor in backbone.state().items()}
        _train(backbone, parameters)
        trained_state = backbone.state()
        changed_names = {
            name
            for name, tensor in initial_state.items()
            if not torch.equal(tensor, trained_state[name])
        }
        assert changed_names, "training changes no parameter"
        assert changed_names <= {*parameters}, f"{min(changed_names - {*parameters})} changed"

    def test_equal_seeds_give_equal_bits(self, tmp_path: Path) -> None:
        """Two copies that are trained in the same way must have bit-identical features."""
        features = []
        for _ in range(2):
            backbone = self._backbone(tmp_path)
            trainable: Trainable[Any] = self.make(tmp_path)
            _train(backbone, trainable.select(backbone))
            features.append(_features(backbone))
        assert torch.equal(*features)

    def test_a_merged_model_is_saved_with_equal_features(self, tmp_path: Path) -> None:
        """`merge` may change features by rounding only; saving and loading must not change them."""
        backbone = self._backbone(tmp_path)
        names = [*backbone.state()]
        trainable: Trainable[Any] = self.make(tmp_path)
        _train(backbone, trainable.select(backbone))
        trained_features = _features(backbone)
        trainable.merge(backbone)
        assert [*backbone.state()] == names, "a merged model has other weights"
        assert torch.allclose(_features(backbone), trained_features, rtol=0, atol=1e-6)
        backbone.save(tmp_path / "saved")
        reloaded = _opened(tmp_path / "saved")
        assert torch.equal(_features(reloaded), _features(backbone))

    def _backbone(self, folder: Path) -> Backbone:
        model = folder / "clip"
        if not model.exists():
            write_tiny_clip(model)
        return _opened(model).fork()


def _opened(folder: Path) -> Backbone:
    registry = load_registry()
    loader = cast("type[BackboneLoader[Any]]", registry.load(registry.get("backbone", "open_clip")))
    return loader.load_saved(folder, "cpu")


def _features(backbone: Backbone) -> Tensor:
    with torch.no_grad():
        return torch.cat([backbone.encode_images(noise(backbone)), backbone.encode_texts(TEXTS)])


def _train(backbone: Backbone, parameters: Any) -> None:
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        images, texts = backbone.encode_images(noise(backbone)), backbone.encode_texts(TEXTS)
        loss = nn.functional.cross_entropy(10 * images @ texts.T, torch.arange(3))
        torch.autograd.backward(loss)
        optimizer.step()
