"""Contract tests of backbones: models that encode images and texts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from packaging.version import Version
from torch import Tensor, nn

from latte.api import (
    Backbone,
    BackboneLoader,
    Kind,
    ModuleBackbone,
    TrainableGroup,
    error_line,
)
from latte_author.testing.blocks import check_blocks
from latte_author.testing.component import ComponentContract, run_program
from latte_author.testing.fixtures import noise
from latte_author.testing.image_tower import check_image_tower

_OLD_TORCH = Version(torch.__version__) < Version("2.10")
"""True if this version of torch may make the traced batch size a constant; the ONNX export refuses
such versions."""
TEXTS = ("a photo of a cat", "a dog", "the small red house beside a river, seen from above")
_NOT_IMPORTABLE = 3
_PROGRAM = f"""
import json, pkgutil, sys
from pathlib import Path

name, folder, *texts = sys.argv[1:]
try:
    loader = pkgutil.resolve_name(name)
except (ImportError, AttributeError, ValueError):
    sys.exit({_NOT_IMPORTABLE})
print(json.dumps(loader.load_saved(Path(folder), "cpu").encode_texts(texts).tolist()))
"""


class BackboneContract(ComponentContract):
    """Tests that a backbone can be trained, copied, saved and opened again.

    Example:
        >>> from latte_author.testing import BackboneContract
        >>> class TestMine(BackboneContract):
        ...     component = "mine"
    """

    kind: ClassVar[Kind] = "backbone"
    groups: ClassVar[tuple[TrainableGroup, ...]] = (
        "all",
        "visual_layer_norms",
        "text_layer_norms",
        "projections",
    )
    """Trainable groups that the backbone has; `none` is always tested."""

    def loader(self, folder: Path) -> BackboneLoader[Any]:
        """Create `folder`; return a new loader, which resolves relative paths against `folder`."""
        loader: BackboneLoader[Any] = self.make(folder)
        return loader

    def load(self, folder: Path) -> Backbone:
        """Load the pretrained backbone."""
        return self.loader(folder).load()

    def test_the_model_is_found_without_loading_it(self, tmp_path: Path) -> None:
        """The loader's `check` must accept the model; equal options must give equal `identity`."""
        loader = self.loader(tmp_path)
        loader.check()
        assert loader.title
        assert loader.identity() == self.loader(tmp_path).identity()

    def test_features_are_finite_unit_rows(self, tmp_path: Path) -> None:
        """Features must be unit vectors (M, D) in fp32; an empty list of texts must give (0, D)."""
        backbone = self.load(tmp_path)
        for features in _outputs(backbone):
            assert features.shape == (3, backbone.embedding_width), f"shape {features.shape}"
            assert features.dtype == torch.float32, f"features are {features.dtype}"
            assert bool(features.isfinite().all()), "a feature is not finite"
            lengths = features.norm(dim=1)
            assert torch.allclose(lengths, torch.ones(3), atol=1e-5), f"lengths are {lengths}"
        assert backbone.encode_texts([]).shape == (0, backbone.embedding_width)

    def test_features_differ(self, tmp_path: Path) -> None:
        """Different images and different texts must have different features."""
        for features in _outputs(self.load(tmp_path)):
            assert len({tuple(row) for row in features.tolist()}) == 3

    def test_it_is_deterministic(self, tmp_path: Path) -> None:
        """Equal inputs must give bit-identical features, even after loading the model again."""
        backbone = self.load(tmp_path)
        outputs = _outputs(backbone)
        assert _equal(outputs, _outputs(backbone)), "a second pass gives different features"
        reloaded = self.load(tmp_path)
        assert _equal(outputs, _outputs(reloaded)), "a second load gives different features"
        assert backbone.fingerprint == reloaded.fingerprint

    def test_features_are_equal_in_another_process(self, tmp_path: Path) -> None:
        """Text features must not depend on the process, for example on Python's salted `hash`."""
        loader = type(self.loader(tmp_path))
        self.load(tmp_path).fork().save(tmp_path / "saved")
        name = f"{loader.__module__}:{loader.__qualname__}"
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        arguments = (name, str(tmp_path / "saved"), *TEXTS)
        process = run_program(_PROGRAM, *arguments, PYTHONHASHSEED=seed)
        if process.returncode == _NOT_IMPORTABLE:
            pytest.skip(f"a new process cannot import {name}")
        assert process.returncode == 0, f"loading in a new process failed:\n{process.stderr}"
        with torch.no_grad():
            expected_features = loader.load_saved(tmp_path / "saved", "cpu").encode_texts(TEXTS)
        features = torch.tensor(json.loads(process.stdout.splitlines()[-1]))
        assert torch.allclose(features, expected_features, atol=1e-5), (
            "a new process computes other text features. Does the tokenizer use Python's `hash`, "
            "which is salted in each process? Use `hashlib`"
        )

    def test_long_texts_that_are_cut_are_counted(self, tmp_path: Path) -> None:
        """If the text tower truncates long texts, `count_cut` must count these texts."""
        backbone = self.load(tmp_path)
        texts = ["word " * 2000 + end for end in ("cat", "dog")]
        with torch.no_grad():
            cat_feature, dog_feature = backbone.encode_texts(texts)
        if torch.equal(cat_feature, dog_feature):
            assert backbone.count_cut(texts) == 2, (
                "texts of 2001 words that differ in the last word have equal features, but "
                f"count_cut() returns {backbone.count_cut(texts)}, not 2: count the texts that the "
                "tower cuts off, so that latte warns about them"
            )

    @pytest.mark.parametrize("text", ["", "W" * 3, "word " * 2000, "ü 写真 🦊"])
    def test_a_feature_does_not_depend_on_other_texts(self, tmp_path: Path, text: str) -> None:
        """Other texts in a call, of any length, may change a text's feature by rounding only."""
        backbone = self.load(tmp_path)
        with torch.no_grad():
            single_feature = backbone.encode_texts([text])
            batch_features = backbone.encode_texts([TEXTS[2], text, TEXTS[0], text])
        assert torch.equal(batch_features[1], batch_features[3]), (
            "equal texts have different features"
        )
        assert torch.allclose(single_feature[0], batch_features[1], atol=1e-5), (
            "other texts change the feature"
        )

    def test_an_image_feature_does_not_depend_on_other_images(self, tmp_path: Path) -> None:
        """Other images in a batch may change an image's feature by rounding only."""
        backbone = self.load(tmp_path)
        pixels = noise(backbone)
        with torch.no_grad():
            single_feature, batch_features = (
                backbone.encode_images(pixels[1:2]),
                backbone.encode_images(pixels),
            )
        assert torch.allclose(single_feature[0], batch_features[1], atol=1e-5)

    def test_it_is_frozen_when_loaded(self, tmp_path: Path) -> None:
        """A loaded model, its copies, and a model after `train_only("none")` must be frozen."""
        backbone = self.load(tmp_path)
        for model in (backbone, backbone.fork()):
            assert not any(output.requires_grad for output in _outputs(model, gradient=True))
        backbone.train_only("all")
        assert not backbone.train_only("none")
        assert not any(output.requires_grad for output in _outputs(backbone, gradient=True))

    def test_gradient_reaches_each_group(self, tmp_path: Path) -> None:
        """Exactly the parameters of the trained group must get gradients.

        The group `all` must contain every other group.
        """
        backbone = self.load(tmp_path).fork()
        all_parameters = {*backbone.train_only("all")}
        for group in self.groups:
            parameters = backbone.train_only(group)
            assert parameters, f"the group {group} has no parameters"
            assert {*parameters} <= all_parameters, f"the group {group} is not a part of `all`"
            _loss(backbone).backward()  # type: ignore[no-untyped-call]
            assert any(
                parameter.grad is not None and bool(parameter.grad.any())
                for parameter in parameters.values()
            )
            frozen_names = {*all_parameters} - {*parameters}
            for name, parameter in backbone.train_only("all").items():
                assert name not in frozen_names or parameter.grad is None, (
                    f"{name} trains with {group}"
                )
                parameter.grad = None

    def test_trunks_give_the_features_of_their_towers(self, tmp_path: Path) -> None:
        """Splitting a tower by `image_trunk` or `text_trunk` must not change its features.

        The split is after the frozen layers, whose outputs must carry no gradient.
        """
        backbone = self.load(tmp_path).fork()
        for group in (*self.groups, "none"):
            backbone.train_only(group)
            _check_trunks(backbone, group)
        if isinstance(backbone, ModuleBackbone) and any(backbone.blocks()):
            last_prefixes = tuple(f"{tower[-1]}." for tower in backbone.blocks() if tower)
            names = [
                name for name in backbone.parameters_of("all") if name.startswith(last_prefixes)
            ]
            backbone.train_parameters(names)
            _check_trunks(backbone, "the last blocks")

    def test_layer_norms_belong_to_their_tower(self, tmp_path: Path) -> None:
        """Training the layer norms of one tower must affect only the features of this tower."""
        backbone = self.load(tmp_path).fork()
        expected: Mapping[TrainableGroup, tuple[bool, bool]] = {
            "visual_layer_norms": (True, False),
            "text_layer_norms": (False, True),
        }
        for group, trains in expected.items():
            if group in self.groups:
                backbone.train_only(group)
                images, texts = _outputs(backbone, gradient=True)
                assert (images.requires_grad, texts.requires_grad) == trains

    def test_the_logit_scale_is_limited(self, tmp_path: Path) -> None:
        """The logit scale must be a positive scalar, and be clamped only if it is trainable."""
        backbone = self.load(tmp_path).fork()
        logit_scale = backbone.logit_scale.detach().clone()
        assert logit_scale.shape == ()
        assert 1 <= logit_scale.item() <= 1000, (
            f"the logit scale is {logit_scale.item():.4g}, not between 1 and 1000: `logit_scale` "
            "is the factor of similarities, such as 100, and CLIP's parameter is its logarithm"
        )
        backbone.clamp_logit_scale()
        assert torch.equal(backbone.logit_scale.detach(), logit_scale), "a frozen one was clamped"
        for parameter in backbone.train_only("all").values():
            if parameter.numel() == 1:
                parameter.data.fill_(50.0)
        backbone.clamp_logit_scale()
        limit = max(100.0, logit_scale.item() if backbone.logit_bias is not None else 0.0)
        assert backbone.logit_scale.item() == pytest.approx(limit, rel=1e-4)

    def test_a_copy_is_independent(self, tmp_path: Path) -> None:
        """Training a copy must change neither the original model nor the copy's fingerprint."""
        backbone = self.load(tmp_path)
        outputs, copy = _outputs(backbone), backbone.fork()
        assert _equal(outputs, _outputs(copy))
        _train(copy)
        assert not _equal(outputs, _outputs(copy)), "training changes no feature"
        assert _equal(outputs, _outputs(backbone)), "training a copy changes the original"
        assert copy.fingerprint == backbone.fingerprint

    def test_its_state_restores_it(self, tmp_path: Path) -> None:
        """`load_state` must restore features and logit scale bit for bit."""
        backbone = self.load(tmp_path)
        trained_copy, restored_copy = backbone.fork(), backbone.fork()
        _train(trained_copy)
        restored_copy.load_state(
            {name: tensor.clone() for name, tensor in trained_copy.state().items()}
        )
        assert _equal(_outputs(trained_copy), _outputs(restored_copy))
        assert torch.equal(trained_copy.logit_scale, restored_copy.logit_scale)

    def test_a_saved_model_has_the_same_bits(self, tmp_path: Path) -> None:
        """Saving and loading a trained model must keep its outputs, and give a new fingerprint."""
        loader = self.loader(tmp_path)
        backbone = loader.load()
        trained_copy = backbone.fork()
        _train(trained_copy)
        trained_copy.save(tmp_path / "saved")
        saved_model = type(loader).load_saved(tmp_path / "saved", "cpu")
        assert saved_model.pixel_format == backbone.pixel_format
        assert torch.equal(saved_model.logit_scale.detach(), trained_copy.logit_scale.detach())
        assert (saved_model.logit_bias is None) == (backbone.logit_bias is None)
        assert _equal(_outputs(trained_copy), _outputs(saved_model)), (
            "a saved model has other outputs"
        )
        assert saved_model.fingerprint != backbone.fingerprint, "new weights need a new fingerprint"
        saved_model.save(tmp_path / "twice")
        resaved_model = type(loader).load_saved(tmp_path / "twice", "cpu")
        assert resaved_model.fingerprint == saved_model.fingerprint

    def test_recomputed_activations_give_the_same_gradient(self, tmp_path: Path) -> None:
        """Gradient checkpointing, if supported, may change gradients by rounding only."""
        plain_model, saving_model = self.load(tmp_path).fork(), self.load(tmp_path).fork()
        if not saving_model.recompute_activations():
            pytest.skip("the backbone does not recompute activations")
        plain_gradients, saving_gradients = (
            _gradients(model) for model in (plain_model, saving_model)
        )
        for name, gradient in plain_gradients.items():
            assert torch.allclose(gradient, saving_gradients[name], rtol=1e-3, atol=1e-5), name

    def test_the_image_tower_gives_the_image_features(self, tmp_path: Path) -> None:
        """Outputs of `image_tower()` must be the image features before normalisation.

        The tower of a trained copy must have the trained weights.
        """
        backbone = self.load(tmp_path).fork()
        if backbone.image_tower() is None:
            pytest.skip("`image_tower` returns None: the backbone has no ONNX export")
        check_image_tower(backbone, "image_tower() gives other features than encode_images")
        _train(backbone)
        check_image_tower(
            backbone, "image_tower() of a trained copy does not use the weights of the copy"
        )

    @pytest.mark.skipif(_OLD_TORCH, reason="this torch is too old for the ONNX export")
    def test_the_image_tower_can_be_exported(self, tmp_path: Path) -> None:
        """PyTorch must be able to trace `image_tower()` for any batch size, for the ONNX export."""
        backbone = self.load(tmp_path)
        tower, side = backbone.image_tower(), backbone.pixel_format.size
        if tower is None:
            pytest.skip("`image_tower` returns None: the backbone has no ONNX export")
        example, batch = torch.zeros(2, 3, side, side), torch.export.Dim("batch")
        try:
            torch.export.export(tower.eval(), (example,), dynamic_shapes=({0: batch},))
        except Exception as error:
            raise AssertionError(
                "image_tower() cannot be traced for any batch size, so the ONNX export would fail: "
                f"{error_line(error)}"
            ) from error

    def test_blocks_are_listed_by_tower_and_in_order(self, tmp_path: Path) -> None:
        """`blocks()` must return one list of blocks per tower, in the order of the forward pass."""
        backbone = self.load(tmp_path).fork()
        if not isinstance(backbone, ModuleBackbone) or not any(backbone.blocks()):
            pytest.skip("the backbone lists no blocks: `last_blocks` and `lora` do not work")
        check_blocks(
            backbone,
            {
                "image": lambda: backbone.encode_images(noise(backbone)),
                "text": lambda: backbone.encode_texts(TEXTS),
            },
        )


def _outputs(backbone: Backbone, *, gradient: bool = False) -> tuple[Tensor, Tensor]:
    with torch.set_grad_enabled(gradient):
        return backbone.encode_images(noise(backbone)), backbone.encode_texts(TEXTS)


def _check_trunks(backbone: Backbone, trained_group: str) -> None:
    images, texts = backbone.image_trunk(), backbone.text_trunk()
    outputs = _outputs(backbone, gradient=True)
    if images is not None:
        states = images.states(noise(backbone))
        assert states.shape == (3, images.width), f"shape {states.shape}"
        assert not states.requires_grad, f"the image trunk trains with {trained_group}"
        _check_same(images.features(states), outputs[0], f"the image trunk with {trained_group}")
    if texts is not None:
        lengths, states = texts.lengths(TEXTS), texts.states(TEXTS)
        assert lengths.shape == (3,), f"lengths have the shape {lengths.shape}"
        assert states.shape == (int(lengths.sum()), texts.width), f"shape {states.shape}"
        assert not states.requires_grad, f"the text trunk trains with {trained_group}"
        _check_same(
            texts.features(states, lengths), outputs[1], f"the text trunk with {trained_group}"
        )
        # Steps read the rows of some texts, in another order than the states were computed in.
        text_states = torch.split(states, lengths.tolist())
        reordered_features = texts.features(
            torch.cat([text_states[2], text_states[0]]), lengths[[2, 0]]
        )
        _check_same(
            reordered_features,
            outputs[1][[2, 0]],
            f"the text trunk with {trained_group}, for some texts",
        )


def _check_same(features: Tensor, expected_features: Tensor, subject: str) -> None:
    assert features.requires_grad == expected_features.requires_grad, (
        f"{subject}: gradient is missing, or wrong"
    )
    assert torch.allclose(features, expected_features, atol=1e-5), f"{subject}: features differ"


def _equal(outputs: tuple[Tensor, ...], other_outputs: tuple[Tensor, ...]) -> bool:
    return all(
        torch.equal(tensor, other_tensor)
        for tensor, other_tensor in zip(outputs, other_outputs, strict=True)
    )


def _loss(backbone: Backbone) -> Tensor:
    images, texts = _outputs(backbone, gradient=True)
    return nn.functional.cross_entropy(backbone.logit_scale * images @ texts.T, torch.arange(3))


def _gradients(backbone: Backbone) -> dict[str, Tensor]:
    parameters = backbone.train_only("all")
    _loss(backbone).backward()  # type: ignore[no-untyped-call]
    return {
        name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None
    }


def _train(backbone: Backbone) -> None:
    """Take one step of gradient descent with all parameters, then freeze them."""
    gradients = _gradients(backbone)
    with torch.no_grad():
        for name, parameter in backbone.train_only("all").items():
            if name in gradients:
                parameter.sub_(gradients[name], alpha=0.01)
    backbone.clamp_logit_scale()
    backbone.train_only("none")
