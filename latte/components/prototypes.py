"""Built-in prototypes: class texts, and estimates without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from latte.api import (
    ClassFeatureRefresh,
    Classifier,
    Context,
    EstimatedPrototypes,
    LabelStream,
    Options,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
    row_blocks,
    shift_to_texts,
)
from latte.components.latteclip import MomentumOptions, MomentumPrototypes

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TemplateOptions(Options):
    """Options of the prototypes `templates`: how often the class texts are encoded again."""

    refresh: ClassFeatureRefresh = Field(
        default="start",
        description="start: never again; epoch: before every epoch, without gradient; "
        "step: before every step, with gradient into the text tower",
    )


class TemplatePrototypes(PrototypeAggregator[TemplateOptions]):
    """One prototype per class: the text feature of its template.

    Without training, these prototypes are the zero-shot classifier. With `refresh: step`, the loss
    also trains the text tower, as in FLYP and in ReCLIP's text branch; with `start` or `epoch`, it
    trains only the image tower.
    """

    _features: Tensor
    _owners: Tensor

    def __init__(self, options: TemplateOptions, context: Context) -> None:
        super().__init__(options, context)
        self.class_features_refresh: ClassFeatureRefresh = options.refresh

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self.refresh_class_features(start.class_features.detach())
        self._owners = torch.arange(len(self._features), device=self.context.device)

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Replace the prototypes by class text features (C, D), which may carry a gradient."""
        self._features = class_features.to(self.context.device)

    def classifier(self) -> Classifier:
        """Return the current features of the class texts (C, D), without gradient."""
        return Classifier(self._features.detach(), self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets (B, D): for each image, the text feature of its label."""
        targets = self._features[stream.labels]
        return Supervision(stream, targets, Classifier(self._features, self._owners))

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Free the autograd graph of the step; do not change the prototypes."""
        self._features = self._features.detach()

    def state(self) -> dict[str, Tensor]:
        """Return the features of the class texts (C, D)."""
        return {"class_features": self._features.detach().clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self.refresh_class_features(state["class_features"])


_AT_REST = 1e-6
"""Updates stop when no entry of the prototypes changes by more than this value."""


class ReEstimatedOptions(Options):
    """Options of the prototypes `re-estimated`, which are computed before the first step."""

    rounds: int = Field(
        default=10,
        ge=1,
        description="largest number of updates over the whole training set; stops at a fixed point",
    )
    momentum: Share = Field(
        default=0.5,
        description="weight of the old prototype in a target; it changes how fast prototypes "
        "move, but not the fixed point",
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="how texts are averaged. dynamic: by the description's weight times the text's "
        "margin between its two nearest classes; mean: by the description's weight alone",
    )
    image_weight: Share = Field(
        default=0.4,
        description="weight of the images themselves, shifted to the texts, beside their "
        "descriptions; 0: descriptions only",
    )


class ReEstimatedPrototypes(EstimatedPrototypes[ReEstimatedOptions]):
    """LatteCLIP's prototype update over the whole training set, repeated until a fixed point.

    The towers are frozen, and there are no training steps. LatteCLIP itself changes mainly its
    prototypes: at the published learning rate, its towers hardly change.
    """

    @torch.no_grad()
    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the zero-shot prototypes (C, D) after at most `rounds` updates."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        momentum_prototypes = MomentumPrototypes(options, self.context)
        momentum_prototypes.start(start)
        prototypes = momentum_prototypes.classifier().weights
        features = start.image_features.to(prototypes)
        images = features + shift_to_texts(features, prototypes)
        blocks = [*row_blocks(len(features), len(prototypes))]
        for _ in range(self.options.rounds):
            previous_prototypes = prototypes
            current_labels = torch.cat(
                [momentum_prototypes.similarities(features[rows]).argmax(1) for rows in blocks]
            )
            streams = {
                "frozen": start.zero_shot_labels.to(current_labels),
                "current": current_labels,
            }
            supervisions = [
                supervision
                for name, labels in streams.items()
                for supervision in self._of_stream(name, labels, momentum_prototypes, start, images)
            ]
            momentum_prototypes.update(supervisions)
            prototypes = momentum_prototypes.classifier().weights
            if torch.allclose(prototypes, previous_prototypes, rtol=0.0, atol=_AT_REST):
                break
        return prototypes

    def _of_stream(
        self,
        name: str,
        labels: Tensor,
        momentum_prototypes: MomentumPrototypes,
        start: TrainingStart,
        images: Tensor,
    ) -> list[Supervision]:
        """Return the supervision by texts and the supervision by image features of a label stream.

        A target is the prototype of the image's label, moved towards the image's texts or its
        feature. The supervision by texts has the weight 1 - `image_weight`, the supervision by
        image features has `image_weight`. A supervision with weight 0 is left out.
        """
        share = self.options.image_weight
        supervisions = []
        if share < 1:
            texts = {text: row.to(images) for text, row in start.texts(labels).items()}
            stream = LabelStream(name, labels, images.new_full((len(labels),), 1 - share))
            supervisions.append(momentum_prototypes.supervise(stream, texts, images))
        if share > 0:
            label_prototypes = momentum_prototypes.classifier().weights[labels]
            targets = torch.lerp(label_prototypes, images, 1 - self.options.momentum)
            stream = LabelStream(name, labels, images.new_full((len(labels),), share))
            supervisions.append(Supervision(stream, targets))
        return supervisions
