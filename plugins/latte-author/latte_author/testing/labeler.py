"""Contract tests of pseudo-labelers, which assign classes to training images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    EpochInfo,
    FeatureBank,
    Kind,
    LabelStream,
    NoOptions,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)
from latte_author.testing.component import ComponentContract
from latte_author.testing.doubles import FixedPrototypes
from latte_author.testing.fixtures import separated_start, training_start, unit_rows
from latte_author.testing.prototypes import check_classifier

LEARNERS = ("first", "second")


class PseudoLabelerContract(ComponentContract):
    """Tests of labels, weights and classifiers, and of resuming from a checkpoint.

    Example:
        >>> from latte_author.testing import PseudoLabelerContract
        >>> class TestNearest(PseudoLabelerContract):
        ...     component = "nearest"
    """

    kind: ClassVar[Kind] = "labeler"

    def started(self, folder: Path, start: TrainingStart) -> PseudoLabeler[Any]:
        """Return a new labeler whose `start` was called."""
        labeler: PseudoLabeler[Any] = self.make(folder)
        labeler.start(start)
        return labeler

    def begin(self, labeler: PseudoLabeler[Any], start: TrainingStart, epoch: int) -> EpochInfo:
        """Call `on_epoch_start` as a run does; pass feature banks if the labeler needs them."""
        banks = _banks(labeler, start)
        return labeler.on_epoch_start(banks, _aggregators(labeler, start), epoch)

    def assign(
        self, labeler: PseudoLabeler[Any], start: TrainingStart, size: int, first: int = 0
    ) -> list[LabelStream]:
        """Return the label streams for `size` training images, from index `first` on."""
        return self._assign(
            labeler, start, (torch.arange(size) + first) % len(start.image_features)
        )

    def _assign(
        self, labeler: PseudoLabeler[Any], start: TrainingStart, indices: Tensor
    ) -> list[LabelStream]:
        batch = Batch(LEARNERS[0], indices, epoch=0, step=0)
        features = start.image_features[indices]
        original_features = features.clone()
        streams = labeler.assign(batch, features, _aggregators(labeler, start)[LEARNERS[0]])
        assert torch.equal(features, original_features), (
            "assign() must not write into image_features"
        )
        return streams

    @pytest.mark.parametrize(("classes", "size"), [(4, 5), (4, 1), (1, 3)])
    def test_streams_are_well_formed(self, tmp_path: Path, classes: int, size: int) -> None:
        """Labels and weights must be valid, even for a batch of one image and a single class."""
        start = training_start(classes)
        labeler = self.started(tmp_path, start)
        self.begin(labeler, start, epoch=0)
        streams = self.assign(labeler, start, size)
        names = [stream.name for stream in streams]
        assert names, "assign() must return at least one stream"
        assert len({*names}) == len(names), f"streams share a name: {names}"
        for stream in streams:
            _check_stream(stream, classes, size)

    def test_labels_are_deterministic(self, tmp_path: Path) -> None:
        """Two labelers with equal options, or two calls of one labeler, must give equal labels."""
        start = training_start()
        first_labeler, second_labeler = self.started(tmp_path, start), self.started(tmp_path, start)
        for labeler in (first_labeler, second_labeler):
            self.begin(labeler, start, epoch=0)
        streams = self.assign(first_labeler, start, 7)
        _check_equal(
            streams, self.assign(first_labeler, start, 7), "asking twice changes the labels"
        )
        _check_equal(streams, self.assign(second_labeler, start, 7), "two equal labelers disagree")

    def test_labels_belong_to_images(self, tmp_path: Path) -> None:
        """Unless `refresh` is `step`, an image's label and weight must not depend on its batch."""
        start = training_start()
        labeler = self.started(tmp_path, start)
        if labeler.refresh == "step":
            pytest.skip("the labeler computes new labels in each step")
        self.begin(labeler, start, epoch=0)
        count = len(start.image_features)
        for stream in self._assign(labeler, start, torch.arange(count)):
            for indices in (torch.arange(count).flip(0), torch.tensor([5, 2, 9])):
                subset_streams = {
                    subset_stream.name: subset_stream
                    for subset_stream in self._assign(labeler, start, indices)
                }
                subset_stream = subset_streams[stream.name]
                assert torch.equal(subset_stream.labels, stream.labels[indices]) and torch.allclose(
                    subset_stream.weights, stream.weights[indices], atol=1e-5
                ), (
                    f"stream {stream.name!r}: an image has another label or weight in another "
                    "batch; index labels and weights of all images by `batch.indices`"
                )

    def test_labels_and_classifiers_fit_well_separated_classes(self, tmp_path: Path) -> None:
        """For well separated classes, at least 75 % of predictions must equal zero-shot labels."""
        start = separated_start()
        labeler, learner = self.started(tmp_path, start), LEARNERS[0]
        info = self.begin(labeler, start, epoch=0)
        zero_shot_labels, full_weights = (
            start.zero_shot_labels,
            torch.ones(len(start.image_features)),
        )
        labels_by_source = {
            f"stream {stream.name!r}": (stream.labels, stream.weights)
            for stream in self._assign(labeler, start, torch.arange(len(zero_shot_labels)))
        }
        if (posterior := labeler.posterior(learner)) is not None:
            labels_by_source["the posterior"] = (posterior.labels[:, 0], full_weights)
        if (classifier := info.classifiers.get(learner)) is not None:
            best_classes = classifier.similarities(start.image_features).argmax(dim=1)
            labels_by_source["the classifier"] = (best_classes, full_weights)
        for name, (labels, weights) in labels_by_source.items():
            has_weight = weights > 0
            correct_count = int((labels == zero_shot_labels)[has_weight].sum())
            assert correct_count >= 0.75 * int(has_weight.sum()), (
                f"{name} names the zero-shot class of {correct_count} of {int(has_weight.sum())} "
                "images of well separated classes. Are classes in the order of `class_names`, is "
                "the best class the largest score, and is a bias in similarity units (logits / "
                "logit scale)?"
            )

    def test_inputs_stay_unchanged(self, tmp_path: Path) -> None:
        """`TrainingStart` and feature banks must not change, as other components read them too."""
        start = training_start()
        labeler: PseudoLabeler[Any] = self.make(tmp_path)
        inputs = {
            f"`TrainingStart.{name}`": getattr(start, name)
            for name in ("class_features", "image_features", "zero_shot_labels")
        }
        banks = _banks(labeler, start)
        inputs |= {f"the feature bank of {name!r}": bank.features for name, bank in banks.items()}
        originals = {name: tensor.clone() for name, tensor in inputs.items()}
        labeler.start(start)
        labeler.on_epoch_start(banks, _aggregators(labeler, start), 0)
        self.assign(labeler, start, 5)
        labeler.posterior(LEARNERS[0])
        changed_inputs = [name for name in inputs if not torch.equal(inputs[name], originals[name])]
        assert not changed_inputs, (
            f"the labeler writes into {changed_inputs[0]}: change a clone() instead"
        )

    def test_on_epoch_start_returns_valid_classifiers(self, tmp_path: Path) -> None:
        """Classifiers that `on_epoch_start` returns must be valid and belong to known learners."""
        start = training_start()
        labeler = self.started(tmp_path, start)
        assert labeler.refresh in get_args(Refresh), f"refresh is {labeler.refresh!r}"
        for epoch in (0, 1):
            info = self.begin(labeler, start, epoch)
            assert isinstance(info, EpochInfo), "on_epoch_start() must return an EpochInfo"
            classes, width = start.class_features.shape
            for learner, classifier in info.classifiers.items():
                assert learner in LEARNERS, f"a classifier for an unknown learner {learner}"
                check_classifier(classifier, classes)
                assert classifier.weights.shape[1] == width, "a classifier's rows must be (C·K, D)"

    @pytest.mark.parametrize("classes", [4, 1])
    def test_a_posterior_is_well_formed_and_survives_a_stop(
        self, tmp_path: Path, classes: int
    ) -> None:
        """`posterior` must be None or valid, and `load_state` must restore it exactly."""
        start = training_start(classes)
        labeler, resumed_labeler = self.started(tmp_path, start), self.started(tmp_path, start)
        self.begin(labeler, start, epoch=0)
        posteriors = {name: labeler.posterior(name) for name in LEARNERS}
        for posterior in posteriors.values():
            if posterior is not None:
                check_posterior(posterior, len(start.image_features), classes)
        resumed_labeler.load_state(
            {name: tensor.clone() for name, tensor in labeler.state().items()}
        )
        for name, posterior in posteriors.items():
            restored_posterior = resumed_labeler.posterior(name)
            message = "state() misses something that posterior() needs"
            assert (posterior is None) == (restored_posterior is None), message
            if posterior is not None and restored_posterior is not None:
                assert torch.equal(posterior.labels, restored_posterior.labels), message
                assert torch.equal(posterior.probabilities, restored_posterior.probabilities), (
                    message
                )
                none, restored_none = posterior.none, restored_posterior.none
                assert (none is None) == (restored_none is None), message
                if none is not None and restored_none is not None:
                    assert torch.equal(none, restored_none), message

    def test_a_stopped_run_goes_on_with_the_same_labels(self, tmp_path: Path) -> None:
        """A labeler that is resumed within an epoch must give the same labels.

        On the resumed labeler, `start` and `load_state` are called, but not `on_epoch_start`.
        """
        start = training_start()
        labeler, resumed_labeler = self.started(tmp_path, start), self.started(tmp_path, start)
        self.begin(labeler, start, epoch=0)
        self.assign(labeler, start, 5)
        state = {name: tensor.clone() for name, tensor in labeler.state().items()}
        expected_streams = self.assign(labeler, start, 5, first=5)
        resumed_labeler.load_state(state)
        message = "state() misses something that assign() needs"
        try:
            resumed_streams = self.assign(resumed_labeler, start, 5, first=5)
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise AssertionError(
                f"{message}: assign() failed after start() and load_state(), because a run that "
                f"resumes within an epoch does not call on_epoch_start() again ({cause})"
            ) from error
        _check_equal(expected_streams, resumed_streams, message)


def _banks(labeler: PseudoLabeler[Any], start: TrainingStart) -> dict[str, FeatureBank]:
    banks = {}
    if labeler.needs_feature_banks:
        count, width = start.image_features.shape
        for place, name in enumerate(LEARNERS):
            rows = start.image_features + 0.3 * unit_rows(count, width, seed=5 + place)
            banks[name] = FeatureBank(normalize(rows, dim=1))
    return banks


def _aggregators(
    labeler: PseudoLabeler[Any], start: TrainingStart
) -> Mapping[str, PrototypeAggregator[Any]]:
    aggregators = {name: FixedPrototypes(NoOptions(), labeler.context) for name in LEARNERS}
    for aggregator in aggregators.values():
        aggregator.start(start)
    return aggregators


def check_posterior(posterior: Posterior, images: int, classes: int) -> None:
    """Raise `AssertionError` unless each image has K distinct classes, most probable first."""
    labels, probabilities = posterior.labels, posterior.probabilities
    assert labels.dim() == 2 and labels.shape[0] == images, (
        f"posterior labels are {tuple(labels.shape)}, not (N, K)"
    )
    assert 1 <= labels.shape[1] <= classes, f"K is {labels.shape[1]} for {classes} classes"
    assert labels.dtype == torch.int64, f"posterior labels are {labels.dtype}, not int64"
    assert bool(((labels >= 0) & (labels < classes)).all()), "posterior labels outside [0, C)"
    assert all(len({*row}) == len(row) for row in labels.tolist()), "an image has a class twice"
    assert probabilities.shape == labels.shape, "a posterior has one probability for each label"
    assert probabilities.is_floating_point(), f"probabilities are {probabilities.dtype}"
    is_probability = (probabilities >= 0) & (probabilities <= 1 + 1e-5)
    assert bool(is_probability.all()), "probabilities outside [0, 1]"
    assert bool((probabilities.sum(dim=1) <= 1 + 1e-4).all()), "probabilities sum to more than 1"
    assert bool((probabilities.diff(dim=1) <= 0).all()), "the most probable class comes first"
    if posterior.none is not None:
        total = probabilities.sum(dim=1) + posterior.none
        assert bool(((posterior.none >= 0) & (total <= 1 + 1e-4)).all()), "none is no probability"
    on_cpu = labels.device.type == "cpu" and probabilities.device.type == "cpu"
    assert on_cpu, "a posterior must be on the CPU"


def _check_stream(stream: LabelStream, classes: int, size: int) -> None:
    labels, weights = stream.labels, stream.weights
    where = f"stream {stream.name!r}:"
    assert labels.shape == (size,), f"{where} labels are {tuple(labels.shape)}, not ({size},)"
    assert labels.dtype == torch.int64, f"{where} labels are {labels.dtype}, not int64"
    assert bool(((labels >= 0) & (labels < classes)).all()), f"{where} labels outside [0, C)"
    assert weights.shape == (size,), f"{where} weights are {tuple(weights.shape)}, not ({size},)"
    assert weights.is_floating_point(), f"{where} weights are {weights.dtype}"
    low, high = weights.min().item(), weights.max().item()
    assert low >= 0 and high <= 1, f"{where} weights from {low!r} to {high!r}, not in [0, 1]"
    assert torch.isfinite(torch.tensor(stream.scale)), f"{where} the scale is {stream.scale}"
    assert not weights.requires_grad, f"{where} weights must not carry gradient"
    if (posterior := stream.posterior) is not None:
        check_posterior(posterior, size, classes)
        assert torch.equal(posterior.labels[:, 0], labels), (
            f"{where} the first class of its posterior must be its label"
        )


def _check_equal(
    streams: list[LabelStream], other_streams: list[LabelStream], message: str
) -> None:
    assert [stream.name for stream in streams] == [stream.name for stream in other_streams], message
    for stream, other_stream in zip(streams, other_streams, strict=True):
        assert torch.equal(stream.labels, other_stream.labels), message
        assert torch.equal(stream.weights, other_stream.weights), message
        assert stream.scale == other_stream.scale, message
