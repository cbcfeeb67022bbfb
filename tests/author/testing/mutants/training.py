"""Mutants of labelers, prototype aggregators, losses and choices of trainable parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from latte_author.testing import (
    LossContract,
    PrototypeAggregatorContract,
    PseudoLabelerContract,
    TrainableContract,
)
from torch import Tensor, nn

from latte.api import Backbone
from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.components.trainable import Projections
from latte.interfaces import (
    Batch,
    EpochInfo,
    LabelStream,
    Posterior,
    Supervision,
    TrainingStart,
)
from tests.author.testing.mutants import Mutant, Mutants, mutant, replaced

NUMBERS = count(1)


def frozen(**changes: Any) -> Mutant:
    return mutant(FrozenLabeler, StreamOptions(), **changes)


def streams(change: Callable[[LabelStream], LabelStream]) -> Callable[..., list[LabelStream]]:
    """Return a method `assign` of the labeler `frozen` that changes its streams."""
    return lambda *arguments: [change(stream) for stream in FrozenLabeler.assign(*arguments)]


class Opinion(FrozenLabeler):
    """Has a posterior of two classes per image."""

    probabilities = (0.6, 0.3)

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self.classes = len(start.class_names)

    def posterior(self, learner: str) -> Posterior | None:
        labels = (self._labels[:, None] + torch.arange(min(2, self.classes))) % self.classes
        rows = torch.tensor([self.probabilities[: labels.shape[1]]])
        return Posterior(labels, rows.repeat(len(labels), 1))


class Forgetful(FrozenLabeler):
    """Counts epochs, and leaves the count out of its state."""

    epochs = 1

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        self.epochs += 1
        return EpochInfo()

    def assign(self, batch: Batch, image_features: Tensor, aggregator: Any) -> list[LabelStream]:
        (stream,) = super().assign(batch, image_features, aggregator)
        return [replace(stream, weights=stream.weights / self.epochs)]


def momentum(**changes: Any) -> Mutant:
    return mutant(MomentumPrototypes, MomentumOptions(momentum=0.5), **changes)


def updates(change: Callable[[Tensor], Tensor]) -> Callable[..., None]:
    """Return a method `update` of the prototypes `momentum` that then changes them.

    Samples of weight 0 change nothing.
    """

    def update(prototypes: MomentumPrototypes, supervisions: Sequence[Supervision]) -> None:
        MomentumPrototypes.update(prototypes, supervisions)
        if any(bool(supervision.stream.weights.any()) for supervision in supervisions):
            prototypes._prototypes = change(prototypes._prototypes)

    return update


class Learned(MomentumPrototypes):
    """Has an offset that no optimiser knows."""

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self.offset = nn.Parameter(torch.zeros_like(start.class_features))


class InPlace(MomentumPrototypes):
    """Writes into prototypes that it has handed out."""

    def update(self, supervisions: Sequence[Supervision]) -> None:
        shared = self._prototypes
        super().update(supervisions)
        self._prototypes = shared.copy_(self._prototypes)


class Amnesiac(MomentumPrototypes):
    """Leaves the prototypes of the epoch's start out of its state."""

    def state(self) -> dict[str, Tensor]:
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._prototypes = state["prototypes"]


class Trusting(MomentumPrototypes):
    """Expects a classifier in each epoch."""

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        self._prototypes = info.classifiers[learner].weights


def loss(change: Callable[[Tensor, Tensor, Supervision, Tensor], Tensor]) -> Mutant:
    """Return a loss `change(value, image_features, supervision, logit_scale)`."""

    def call(contrastive: ContrastiveLoss, *arguments: Any) -> Tensor:
        return change(ContrastiveLoss.__call__(contrastive, *arguments), *arguments)

    return mutant(ContrastiveLoss, __call__=call)


def with_given(change: Callable[..., tuple[Tensor, Supervision, Tensor]]) -> Mutant:
    """Return the contrastive loss of `change(image_features, supervision, logit_scale)`."""

    def call(contrastive: ContrastiveLoss, *arguments: Any) -> Tensor:
        return ContrastiveLoss.__call__(contrastive, *change(*arguments))

    return mutant(ContrastiveLoss, __call__=call)


def unweighted(images: Tensor, supervision: Supervision, scale: Tensor) -> tuple[Any, ...]:
    full = replace(supervision.stream, weights=torch.ones_like(supervision.stream.weights))
    return images, replace(supervision, stream=full), scale


class WithTemperature(ContrastiveLoss):
    """Has a parameter that `parameters` does not return."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.temperature = nn.Parameter(torch.ones(()))


def draw_weight(_: Projections, backbone: Backbone) -> Mapping[str, nn.Parameter]:
    parameters = backbone.train_only("projections")
    for parameter in parameters.values():
        parameter.data.add_(0.1 * next(NUMBERS))
    return parameters


def merge_wrongly(_: Projections, backbone: Backbone) -> None:
    for parameter in backbone.train_only("projections").values():
        parameter.data.neg_()


MUTANTS: Mutants = {
    PseudoLabelerContract: {
        "streams_are_well_formed": frozen(
            assign=streams(lambda stream: replace(stream, weights=1.5 * stream.weights))
        ),
        "labels_are_deterministic": frozen(
            assign=streams(lambda stream: replace(stream, weights=stream.weights / next(NUMBERS)))
        ),
        "labels_belong_to_images": frozen(
            assign=lambda self, batch, *arguments: FrozenLabeler.assign(
                self, replace(batch, indices=torch.arange(len(batch.indices))), *arguments
            )
        ),
        "labels_and_classifiers_fit_well_separated_classes": mutant(
            CurrentLabeler,
            StreamOptions(),
            assign=lambda self, batch, images, prototypes: CurrentLabeler.assign(
                self, batch, -images, prototypes
            ),
        ),
        "inputs_stay_unchanged": frozen(
            start=lambda self, start: FrozenLabeler.start(
                self, replace(start, image_features=start.image_features.mul_(2))
            )
        ),
        "on_epoch_start_returns_valid_classifiers": frozen(on_epoch_start=lambda *_: None),
        "a_posterior_is_well_formed_and_survives_a_stop": mutant(
            Opinion, StreamOptions(), probabilities=(0.3, 0.6)
        ),
        "a_stopped_run_goes_on_with_the_same_labels": replaced(
            FrozenLabeler, Forgetful, StreamOptions()
        ),
    },
    PrototypeAggregatorContract: {
        "the_classifier_is_whole_from_the_start": momentum(
            similarities=lambda self, images: 100 * MomentumPrototypes.similarities(self, images)
        ),
        "no_tensor_waits_for_an_optimiser": replaced(
            MomentumPrototypes, Learned, MomentumOptions()
        ),
        "supervision_is_what_a_loss_reads": momentum(
            supervise=lambda self, stream, texts, images: Supervision(stream)
        ),
        "a_recipe_without_descriptions_is_served_or_refused": momentum(
            supervise=lambda self, stream, texts, images: MomentumPrototypes.supervise(
                self, stream, {"image": texts["image"]}, images
            )
        ),
        "steps_keep_the_classifier_whole": momentum(update=updates(torch.zeros_like)),
        "samples_of_weight_zero_do_no_harm": momentum(
            update=lambda self, supervisions: MomentumPrototypes.update(
                self,
                [
                    replace(
                        supervision,
                        stream=replace(supervision.stream, weights=supervision.stream.weights + 1),
                    )
                    for supervision in supervisions
                ],
            )
        ),
        "handed_out_prototypes_stay_as_they_were": replaced(
            MomentumPrototypes, InPlace, MomentumOptions()
        ),
        "steps_are_deterministic": momentum(update=updates(lambda rows: rows + next(NUMBERS))),
        "a_stopped_run_goes_on_to_the_bit": replaced(
            MomentumPrototypes, Amnesiac, MomentumOptions(momentum=0.5, margins="epoch_start")
        ),
        "epochs_may_bring_nothing_or_classifiers": replaced(
            MomentumPrototypes, Trusting, MomentumOptions()
        ),
    },
    LossContract: {
        "it_is_a_finite_scalar": loss(lambda value, *_: value.unsqueeze(0)),
        "images_get_gradient": with_given(
            lambda images, supervision, scale: (images.detach() + 0 * images, supervision, scale)
        ),
        "every_parameter_of_the_loss_trains": replaced(ContrastiveLoss, WithTemperature),
        "it_says_what_the_prototypes_lack": with_given(
            lambda images, supervision, scale: (
                images,
                replace(supervision, targets=images.detach()),
                scale,
            )
        ),
        "the_order_of_the_batch_does_not_matter": loss(
            lambda value, images, *_: value + 0.01 * images[0, 0]
        ),
        "a_sample_of_weight_zero_does_not_count": with_given(unweighted),
        "a_batch_without_weight_is_finite": loss(
            lambda value, _, supervision, __: value / supervision.stream.weights.sum()
        ),
    },
    TrainableContract: {
        "only_the_chosen_parameters_train": mutant(Projections, select=lambda *_: {}),
        "equal_seeds_give_equal_bits": mutant(Projections, select=draw_weight),
        "a_merged_model_is_saved_with_equal_features": mutant(Projections, merge=merge_wrongly),
    },
}
