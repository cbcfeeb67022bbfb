"""LatteCLIP's momentum prototypes, but several per class, for classes with diverse images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from latte.api import (
    Classifier,
    EpochInfo,
    LabelStream,
    LatteError,
    Options,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)
from latte_multiproto.clusters import cluster_centres, moved, parted_prototypes
from latte_multiproto.mixer import mix


@dataclass(frozen=True)
class ChosenSupervision(Supervision):
    """Supervision (labels and targets of a batch) with the prototype that each image uses."""

    rows: Tensor | None = None
    """(B,) int64: index of the nearest prototype of the image's label."""


class MultiMomentumOptions(Options):
    """Options of `multi-momentum`: the options of `momentum`, and others for several prototypes.

    The other options control how prototypes are initialised, and when rarely used ones are moved.
    """

    prototypes: int = Field(
        default=3, ge=1, le=16, description="prototypes a class (K); 1: exactly `momentum`"
    )
    momentum: float = Field(
        default=0.99,
        ge=0.0,
        le=1.0,
        description="weight of the old prototype in a target (1 - alpha in the paper)",
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="how texts are averaged. dynamic: by the description's weight times the text's "
        "margin between its two nearest classes; mean: by the description's weight alone",
    )
    margins: Literal["current", "epoch_start"] = Field(
        default="current",
        description="prototypes for the margins: the current ones, or those at the start of the "
        "epoch as in the released code",
    )
    initialise: Literal["descriptions", "groups", "template"] = Field(
        default="descriptions",
        description="descriptions, groups: the template is moved towards clusters of the texts "
        "about the class's images or groups; template: it is moved in random directions",
    )
    description: str | None = Field(
        default=None,
        description="name of the description that is clustered; none: `image` for descriptions, "
        "`group` for groups",
    )
    weight: float = Field(
        default=0.5,
        ge=0.0,
        description="weight of the cluster centre in the first prototypes: template + weight x "
        "cluster centre, both of unit length",
    )
    spread: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="length of the random step between a prototype and the vector from which it "
        "is made",
    )
    floor: float = Field(
        default=0.1,
        ge=0.0,
        le=0.5,
        description="smallest use of a prototype, relative to equal use of all; a less used one "
        "is placed beside the class's most used prototype before the next epoch; 0: never",
    )


class MultiMomentumPrototypes(PrototypeAggregator[MultiMomentumOptions]):
    """K prototypes per class, updated with momentum; K = 1 is bit-identical to `momentum`.

    The prototypes of class c are the rows c·K to c·K + K - 1. An image uses the nearest prototype
    of its label. The image's target is this prototype, moved a little towards the mean feature of
    the image's descriptions. After a step, each used prototype becomes the unit vector along the
    mean of its targets. At the start of the next epoch, rarely used prototypes are moved next to
    the most used prototype of their class.
    """

    _prototypes: Tensor
    _epoch_start_prototypes: Tensor
    _owners: Tensor
    _usage: Tensor
    _weights: Mapping[str, float]
    _rounds: int = 0

    def start(self, start: TrainingStart) -> None:
        """Initialise K prototypes per class from the zero-shot classifier."""
        count, device = self.options.prototypes, self.context.device
        templates = start.class_features.detach().to(device)
        self._prototypes = templates if count == 1 else self._parted(templates, start)
        self._epoch_start_prototypes = self._prototypes
        self._owners = torch.arange(len(templates), device=device).repeat_interleave(count)
        self._usage = torch.zeros(len(templates), count, device=device)
        self._weights = start.description_weights
        self._rounds = 0

    def _parted(self, templates: Tensor, start: TrainingStart) -> Tensor:
        options = self.options
        centres = [templates[:0] for _ in templates]
        if options.initialise != "template":
            features = self._described(start).to(templates)
            labels = start.zero_shot_labels.to(templates.device)
            centres = [
                cluster_centres(features[labels == label], options.prototypes)
                for label in range(len(templates))
            ]
        generator = torch.Generator().manual_seed(self.context.seed)
        return parted_prototypes(
            templates, centres, options.prototypes, options.weight, options.spread, generator
        )

    def _described(self, start: TrainingStart) -> Tensor:
        default_name = "group" if self.options.initialise == "groups" else "image"
        name = self.options.description or default_name
        try:
            return start.description_features(name)
        except KeyError:
            raise LatteError(
                f"prototypes should start from the description `{name}`, which this recipe lacks",
                where="prototypes.description",
                hint=f"add `{name}` to `descriptions`, name another one here, or write "
                "`initialise: template`",
            ) from None

    def classifier(self) -> Classifier:
        """Return a classifier of all prototypes (C·K, D); per class, the nearest one counts."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return one target per image: its prototype, moved towards the mean of its text features.

        The target is z = P[c, k] + alpha (u - P[c, k]). P[c, k] is the prototype of label c that is
        nearest to the image, u is the weighted mean of the features of the image's texts, and alpha
        is 1 - momentum. The gradient flows through u alone. Without texts, z is P[c, k].
        """
        rows = self._chosen(stream.labels, image_features)
        nearest_prototypes = self._prototypes[rows]
        targets = (
            torch.lerp(nearest_prototypes, self._mix(texts), 1 - self.options.momentum)
            if texts
            else nearest_prototypes
        )
        return ChosenSupervision(stream, targets, self.classifier(), rows)

    def _chosen(self, labels: Tensor, image_features: Tensor) -> Tensor:
        """Return, per image, the index (B,) of its label's nearest prototype; first if tied."""
        count = self.options.prototypes
        candidates = self._by_class(self._prototypes)[labels]
        similarities = candidates @ image_features.to(candidates.dtype).unsqueeze(2)
        nearest_prototype: Tensor = similarities.squeeze(2).argmax(dim=1)
        return labels * count + nearest_prototype

    def _by_class(self, rows: Tensor) -> Tensor:
        return rows.view(-1, self.options.prototypes, rows.shape[1])

    def _mix(self, texts: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted mean (B, D) of the features of each image's texts."""
        features = {name: text.to(self._prototypes.dtype) for name, text in texts.items()}
        if self.options.mixer == "mean":
            return mix(features, self._weights, None)
        is_current = self.options.margins == "current"
        prototypes = self._prototypes if is_current else self._epoch_start_prototypes
        return mix(features, self._weights, Classifier(prototypes, self._owners))

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Set each chosen prototype to the unit vector along the weighted mean of its targets.

        The mean is over all label streams. Prototypes without an image of positive weight do not
        change.
        """
        sums = torch.zeros_like(self._prototypes)
        usage = self._usage.flatten()
        for supervision in supervisions:
            assert isinstance(supervision, ChosenSupervision), "not made by these prototypes"
            assert supervision.rows is not None and supervision.targets is not None
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, supervision.rows, supervision.targets * weights)
            usage = usage.index_add(0, supervision.rows, weights.squeeze(1).to(usage.dtype))
        lengths = sums.norm(dim=1, keepdim=True)
        self._prototypes = torch.where(lengths > 0, sums / lengths, self._prototypes)
        self._usage = usage.view_as(self._usage)

    @torch.no_grad()
    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Move rarely chosen prototypes, then store all prototypes for `margins: epoch_start`."""
        self._reseed()
        self._usage = self._usage / 2
        self._rounds += 1
        self._epoch_start_prototypes = self._prototypes

    def _reseed(self) -> None:
        """Move each rarely chosen prototype next to the most used prototype of its class.

        The usage count of the most used prototype is divided equally among this prototype and the
        moved ones. The prototypes of a class without images do not change.
        """
        usage = self._usage
        totals = usage.sum(dim=1, keepdim=True)
        is_dead = (usage < totals * (self.options.floor / self.options.prototypes)) & (totals > 0)
        if not bool(is_dead.any()):
            return
        largest_usage, most_used = usage.max(dim=1, keepdim=True)
        shared_usage = largest_usage / (1 + is_dead.sum(dim=1, keepdim=True))
        rows = self._by_class(self._prototypes)
        parents = rows.take_along_dim(most_used.unsqueeze(2), dim=1).expand_as(rows).flatten(0, 1)
        generator = torch.Generator().manual_seed(self.context.seed + 1 + self._rounds)
        children = moved(parents, self.options.spread, generator)
        self._prototypes = torch.where(is_dead.view(-1, 1), children, self._prototypes)
        is_split_class = is_dead.any(dim=1, keepdim=True)
        is_parent = torch.zeros_like(is_dead).scatter(1, most_used, is_split_class)
        self._usage = torch.where(is_dead | is_parent, shared_usage, usage)

    def state(self) -> dict[str, Tensor]:
        """Return current and epoch-start prototypes (C·K, D), usage (C, K) and number of epochs."""
        return {
            "prototypes": self._prototypes.clone(),
            "epoch_start_prototypes": self._epoch_start_prototypes.clone(),
            "usage": self._usage.clone(),
            "rounds": torch.tensor(self._rounds),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        device = self.context.device
        self._prototypes = state["prototypes"].to(device)
        self._epoch_start_prototypes = state["epoch_start_prototypes"].to(device)
        self._usage = state["usage"].to(device)
        self._rounds = int(state["rounds"])
