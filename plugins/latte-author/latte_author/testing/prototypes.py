"""Contract tests of prototype aggregators, which hold the vectors that represent classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
import torch
from torch import Tensor

from latte.api import (
    ClassFeatureRefresh,
    Classifier,
    EpochInfo,
    Kind,
    LabelStream,
    LatteError,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)
from latte_author.testing.component import ComponentContract, own_leaves
from latte_author.testing.fixtures import training_start, unit_rows

LEARNER = "main"
SIZES = pytest.mark.parametrize(("classes", "size"), [(4, 5), (4, 1), (1, 3)])


class PrototypeAggregatorContract(ComponentContract):
    """Tests that the classifier is always valid and that a resumed run is bit-identical.

    Example:
        >>> from latte_author.testing import PrototypeAggregatorContract
        >>> class TestCentres(PrototypeAggregatorContract):
        ...     component = "centres"
    """

    kind: ClassVar[Kind] = "prototypes"

    def started(self, folder: Path, start: TrainingStart) -> PrototypeAggregator[Any]:
        """Return a new aggregator whose `start` was called."""
        aggregator: PrototypeAggregator[Any] = self.make(folder)
        aggregator.start(start)
        return aggregator

    @SIZES
    def test_the_classifier_is_whole_from_the_start(
        self, tmp_path: Path, classes: int, size: int
    ) -> None:
        """The classifier must cover all classes; `similarities` must equal its scores (B, C)."""
        start = training_start(classes)
        aggregator = self.started(tmp_path, start)
        refreshes = get_args(ClassFeatureRefresh)
        assert aggregator.class_features_refresh in refreshes, f"refresh is none of {refreshes}"
        check_classifier(aggregator.classifier(), classes)
        similarities = aggregator.similarities(start.image_features[:size])
        assert similarities.shape == (size, classes), (
            f"similarities are {tuple(similarities.shape)}, not (B, C)"
        )
        expected_similarities = aggregator.classifier().similarities(start.image_features[:size])
        assert torch.allclose(similarities, expected_similarities, atol=1e-5), (
            "similarities must be the classifier's"
        )

    def test_no_tensor_waits_for_an_optimiser(self, tmp_path: Path) -> None:
        """The aggregator must hold no trainable tensor, as the optimiser trains no prototypes."""
        untrained_names = [name for name, _ in own_leaves(self.started(tmp_path, training_start()))]
        assert not untrained_names, (
            f"{', '.join(untrained_names)} would never be trained: an optimiser trains only what "
            "`trainable` selects and what a loss returns from parameters(); change prototypes in "
            "update()"
        )

    @SIZES
    def test_supervision_is_what_a_loss_reads(
        self, tmp_path: Path, classes: int, size: int
    ) -> None:
        """`supervise` must return targets (B, D), a classifier of all classes, or both."""
        start = training_start(classes)
        for supervision in supervise(self.started(tmp_path, start), start, 0, size):
            targets, classifier = supervision.targets, supervision.classifier
            has_supervision = targets is not None or classifier is not None
            assert has_supervision, "supervise() must give targets or a classifier"
            if targets is not None:
                shape = tuple(targets.shape)
                assert shape == start.image_features[:size].shape, (
                    f"targets are {shape}, not (B, D)"
                )
                assert bool(targets.isfinite().all()), "targets must be finite"
            if classifier is not None:
                bias = None if classifier.bias is None else classifier.bias.detach()
                check_classifier(
                    Classifier(classifier.weights.detach(), classifier.owners, bias), classes
                )

    def test_a_recipe_without_descriptions_is_served_or_refused(self, tmp_path: Path) -> None:
        """Without texts, `supervise` must work or raise a `LatteError`."""
        start = training_start()
        aggregator = self.started(tmp_path, start)
        try:
            supervise(aggregator, start, 0, texts=())
        except LatteError:
            return
        check_classifier(aggregator.classifier(), 4)

    @SIZES
    def test_steps_keep_the_classifier_whole(self, tmp_path: Path, classes: int, size: int) -> None:
        """The classifier must stay valid, even if a class has no image in the batch."""
        start = training_start(classes)
        aggregator = self.started(tmp_path, start)
        for step in range(3):
            take_step(aggregator, start, step, size)
            check_classifier(aggregator.classifier(), classes)

    def test_samples_of_weight_zero_do_no_harm(self, tmp_path: Path) -> None:
        """A batch whose label weights are all 0 must not change the classifier."""
        start = training_start()
        aggregator = self.started(tmp_path, start)
        original_weights = aggregator.classifier().weights.clone()
        take_step(aggregator, start, 0, weight=0.0)
        check_classifier(aggregator.classifier(), 4)
        is_unchanged = torch.allclose(aggregator.classifier().weights, original_weights, atol=1e-6)
        assert is_unchanged, "prototypes moved, although every weight is 0"

    def test_handed_out_prototypes_stay_as_they_were(self, tmp_path: Path) -> None:
        """`update` must not write into tensors that the aggregator returned or received."""
        start = training_start()
        aggregator = self.started(tmp_path, start)
        weights = aggregator.classifier().weights
        original_weights, class_features = weights.clone(), start.class_features.clone()
        take_step(aggregator, start, 0)
        assert torch.equal(weights, original_weights), "update() wrote into an earlier classifier"
        assert torch.equal(start.class_features, class_features), "it wrote into TrainingStart"

    def test_steps_are_deterministic(self, tmp_path: Path) -> None:
        """Repeating the same steps must give bit-identical prototypes."""
        start = training_start()
        aggregator, second_aggregator = self.started(tmp_path, start), self.started(tmp_path, start)
        for step in range(3):
            take_step(aggregator, start, step)
            take_step(second_aggregator, start, step)
        _check_equal(aggregator, second_aggregator, "equal steps give other prototypes")

    def test_a_stopped_run_goes_on_to_the_bit(self, tmp_path: Path) -> None:
        """An aggregator that is resumed within an epoch must take bit-identical steps.

        On the resumed aggregator, `start` and `load_state` are called, but not `on_epoch_start`.
        """
        start = training_start()
        aggregator, resumed_aggregator = (
            self.started(tmp_path, start),
            self.started(tmp_path, start),
        )
        take_step(aggregator, start, 0)
        aggregator.on_epoch_start(EpochInfo(), LEARNER)
        take_step(aggregator, start, 1)
        state = aggregator.state()
        saved_state = {name: tensor.clone() for name, tensor in state.items()}
        supervisions = take_step(aggregator, start, 2)
        for name, tensor in state.items():
            assert torch.equal(tensor, saved_state[name]), (
                f"state() must copy {name}: a step changed it"
            )
        resumed_aggregator.load_state(saved_state)
        resumed_supervisions = take_step(resumed_aggregator, start, 2)
        _check_equal(aggregator, resumed_aggregator, "state() or load_state() loses something")
        for supervision, resumed_supervision in zip(
            supervisions, resumed_supervisions, strict=True
        ):
            if supervision.targets is not None and resumed_supervision.targets is not None:
                assert torch.equal(supervision.targets, resumed_supervision.targets), (
                    "targets differ after load_state"
                )

    def test_epochs_may_bring_nothing_or_classifiers(self, tmp_path: Path) -> None:
        """`on_epoch_start` must work without a classifier, and with any valid classifier."""
        start = training_start()
        aggregator = self.started(tmp_path, start)
        rows = unit_rows(len(start.class_names), seed=9)
        unbiased_classifier = Classifier(rows, torch.arange(4))
        biased_classifier = Classifier(3 * rows, torch.arange(4), torch.linspace(-1, 1, 4))
        for classifiers in (
            {},
            {"another": unbiased_classifier},
            {LEARNER: unbiased_classifier},
            {LEARNER: biased_classifier},
        ):
            aggregator.on_epoch_start(EpochInfo(classifiers), LEARNER)
            check_classifier(aggregator.classifier(), 4)


def supervise(
    aggregator: PrototypeAggregator[Any],
    start: TrainingStart,
    step: int,
    size: int = 5,
    weight: float = 1.0,
    texts: Sequence[str] = ("class", "image", "group"),
) -> list[Supervision]:
    """Call `supervise` as training step `step` does, for zero-shot and for current labels."""
    rows = (torch.arange(size) + step * size) % len(start.image_features)
    images = start.image_features[rows]
    if aggregator.class_features_refresh == "step":
        aggregator.refresh_class_features(start.class_features.clone().requires_grad_())
    labels = {
        "frozen": start.zero_shot_labels[rows],
        "current": aggregator.similarities(images).argmax(1),
    }
    supervisions = []
    for stream_name, stream_labels in labels.items():
        features = {
            name: start.class_features[stream_labels]
            if name == "class"
            else start.description_features(name)[rows]
            for name in texts
        }
        text_features = {name: text.requires_grad_() for name, text in features.items()}
        stream = LabelStream(stream_name, stream_labels, torch.full((size,), weight))
        supervisions.append(aggregator.supervise(stream, text_features, images))
    return supervisions


def take_step(
    aggregator: PrototypeAggregator[Any],
    start: TrainingStart,
    step: int,
    size: int = 5,
    weight: float = 1.0,
) -> list[Supervision]:
    """Take one step: `supervise`, backward pass, `update`; return the result of `supervise`."""
    supervisions = supervise(aggregator, start, step, size, weight)
    sums = [
        tensor.sum()
        for supervision in supervisions
        for tensor in _tensors(supervision)
        if tensor is not None and tensor.requires_grad
    ]
    if sums:
        torch.autograd.backward(torch.stack(sums).sum())
    aggregator.update(supervisions)
    stored_tensors = [*aggregator.state().values(), aggregator.classifier().weights]
    assert all(tensor.grad_fn is None for tensor in stored_tensors), (
        "update() kept the gradient graph of a step, which the next step cannot use: detach the "
        "targets before they move prototypes, as in one.targets.detach()"
    )
    return supervisions


def _tensors(supervision: Supervision) -> list[Tensor | None]:
    classifier = supervision.classifier
    rows = [] if classifier is None else [classifier.weights, classifier.bias]
    return [supervision.targets, *rows]


def check_classifier(classifier: Classifier, classes: int) -> None:
    """Fail unless the classifier's rows are finite, not zero, detached, and cover every class."""
    weights, owners = classifier.weights, classifier.owners
    assert weights.dim() == 2, "classifier weights must be (C·K, D)"
    assert owners.shape == weights.shape[:1], "a classifier needs one owner for each row"
    assert owners.dtype == torch.int64, f"owners are {owners.dtype}, not int64"
    assert {*owners.tolist()} == {*range(classes)}, "owners must be all of the classes 0..C-1"
    assert not weights.requires_grad, "classifier() must not carry gradient"
    assert bool(weights.isfinite().all()), "prototypes must be finite"
    assert bool(weights.any(dim=1).all()), "a prototype is zero, so that it has no direction"
    bias = classifier.bias
    if bias is not None:
        assert bias.shape == weights.shape[:1], f"bias is {tuple(bias.shape)}, not one for each row"
        assert bias.dtype == weights.dtype, f"bias is {bias.dtype}, and weights are {weights.dtype}"
        assert not bias.requires_grad, "classifier() must not carry gradient"
        assert bool(bias.isfinite().all()), "the bias must be finite"


def _check_equal(
    aggregator: PrototypeAggregator[Any], second_aggregator: PrototypeAggregator[Any], message: str
) -> None:
    classifier, second_classifier = aggregator.classifier(), second_aggregator.classifier()
    assert torch.equal(classifier.weights, second_classifier.weights), message
    assert torch.equal(classifier.owners, second_classifier.owners), message
    assert (classifier.bias is None) == (second_classifier.bias is None), message
    if classifier.bias is not None and second_classifier.bias is not None:
        assert torch.equal(classifier.bias, second_classifier.bias), message
