"""Contract tests of losses: a loss is a finite scalar with gradient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from latte.api import Kind, LabelStream, LatteError, Loss, Supervision
from latte_author.testing.component import ComponentContract, own_leaves
from latte_author.testing.fixtures import random_classifier, unit_rows

SCALE = torch.tensor(100.0)


class LossContract(ComponentContract):
    """Tests that a loss is a finite scalar, has a gradient, and depends on the labels' weights.

    Example:
        >>> from latte_author.testing import LossContract
        >>> class TestCosine(LossContract):
        ...     component = "cosine"
    """

    kind: ClassVar[Kind] = "loss"

    @pytest.mark.parametrize(("classes", "size"), [(4, 6), (4, 1), (1, 3)])
    def test_it_is_a_finite_scalar(self, tmp_path: Path, classes: int, size: int) -> None:
        """Loss and gradient must be finite, even for a batch of one image and for one class."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss, classes, size)
        loss_value = loss(images, supervision, SCALE)
        assert loss_value.shape == (), f"the loss is {tuple(loss_value.shape)}, not a scalar"
        assert bool(loss_value.isfinite()), f"the loss is {loss_value.item()}"
        assert bool(_gradient(loss_value, images).isfinite().all()), "the gradient is not finite"

    def test_images_get_gradient(self, tmp_path: Path) -> None:
        """The image features must get a gradient."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss)
        gradient = _gradient(loss(images, supervision, SCALE), images)
        assert bool(gradient.any()), "no gradient reaches the image features"

    def test_every_parameter_of_the_loss_trains(self, tmp_path: Path) -> None:
        """`parameters` must return each `nn.Parameter` of the loss, and each must get gradient."""
        loss: Loss[Any] = self.make(tmp_path)
        parameters = loss.parameters()
        returned_ids = {id(parameter) for parameter in parameters.values()}
        forgotten_names = [name for name, leaf in own_leaves(loss) if id(leaf) not in returned_ids]
        assert not forgotten_names, (
            f"parameters() does not return {', '.join(forgotten_names)}: never trained"
        )
        if parameters:
            images, supervision = example(loss)
            loss(images, supervision, SCALE).backward()  # type: ignore[no-untyped-call]
        for name, parameter in parameters.items():
            assert parameter.grad is not None, f"no gradient reaches the parameter {name}"
            assert bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite"

    def test_it_says_what_the_prototypes_lack(self, tmp_path: Path) -> None:
        """The loss must raise `LatteError` if there are neither targets nor a classifier."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss)
        with pytest.raises(LatteError):
            loss(images, replace(supervision, targets=None, classifier=None), SCALE)

    def test_the_order_of_the_batch_does_not_matter(self, tmp_path: Path) -> None:
        """Shuffling the batch may change the loss by rounding only."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss)
        shuffled = torch.tensor([4, 2, 0, 5, 3, 1])
        loss_value = loss(images, supervision, SCALE)
        shuffled_loss_value = loss(images[shuffled], _rows(supervision, shuffled), SCALE)
        assert torch.allclose(loss_value, shuffled_loss_value, rtol=1e-5, atol=1e-5), (
            f"the loss is {loss_value.item()}, and {shuffled_loss_value.item()} in another order"
        )

    def test_a_sample_of_weight_zero_does_not_count(self, tmp_path: Path) -> None:
        """The image and the label of a sample of weight 0 must not change the loss."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss)
        weights = supervision.stream.weights.clone()
        weights[2] = 0
        labels = supervision.stream.labels.clone()
        labels[2] = (labels[2] + 1) % 4
        moved_images = images.detach().clone()
        moved_images[2] = -moved_images[2]
        loss_value = loss(images, _with(supervision, weights=weights), SCALE)
        moved_loss_value = loss(
            moved_images, _with(supervision, weights=weights, labels=labels), SCALE
        )
        assert torch.allclose(loss_value, moved_loss_value, rtol=1e-5, atol=1e-5), (
            "a sample of weight 0 counts"
        )

    def test_a_batch_without_weight_is_finite(self, tmp_path: Path) -> None:
        """Loss and gradient must be finite if all weights are 0."""
        loss: Loss[Any] = self.make(tmp_path)
        images, supervision = example(loss)
        zero_weights = torch.zeros_like(supervision.stream.weights)
        loss_value = loss(images, _with(supervision, weights=zero_weights), SCALE)
        assert bool(loss_value.isfinite()), (
            f"the loss is {loss_value.item()} where all weights are 0"
        )
        assert bool(_gradient(loss_value, images).isfinite().all()), "the gradient is not finite"


def example(loss: Loss[Any], classes: int = 4, size: int = 6) -> tuple[Tensor, Supervision]:
    """Return image features (B, D) that require gradient, and a `Supervision` for `loss`."""
    labels = torch.arange(size) % classes
    weights = torch.linspace(0.5, 1.0, size)
    stream = LabelStream("stream", labels, weights)
    classifier = random_classifier(classes, seed=3)
    images = unit_rows(size, seed=4).requires_grad_()
    targets, bias = classifier.weights[labels], torch.tensor(-10.0)
    return images, Supervision(stream, targets, classifier, logit_bias=bias)


def _rows(supervision: Supervision, rows: Tensor) -> Supervision:
    stream, targets = supervision.stream, supervision.targets
    shuffled_stream = replace(stream, labels=stream.labels[rows], weights=stream.weights[rows])
    return replace(
        supervision, stream=shuffled_stream, targets=None if targets is None else targets[rows]
    )


def _with(supervision: Supervision, **changes: Tensor) -> Supervision:
    return replace(supervision, stream=replace(supervision.stream, **changes))  # type: ignore[arg-type]


def _gradient(loss_value: Tensor, images: Tensor) -> Tensor:
    assert loss_value.requires_grad, "the loss must be differentiable"
    (gradient,) = torch.autograd.grad(loss_value, images, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient
