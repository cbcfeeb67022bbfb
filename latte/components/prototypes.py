"""Built-in prototypes: class texts, LatteCLIP's momentum, and estimates without training.

A prototype is a vector that stands for a class: an image gets the class of the nearest prototype.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Classifier,
    Context,
    EpochInfo,
    EstimatedPrototypes,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
    mix_descriptions,
    row_blocks,
    rows_per_block,
    shift_to_texts,
)
from latte.components.options import (
    AnchoredOptions,
    MomentumOptions,
    ReEstimatedOptions,
    TemplateOptions,
)


class TemplatePrototypes(PrototypeAggregator[TemplateOptions]):
    """One prototype per class: the text feature of its template.

    Without training this is the zero-shot classifier. The option `refresh` says when the class
    texts are encoded again. With the value `step`, the loss also trains the text tower, as in FLYP
    and in ReCLIP's text branch. With `start` or `epoch`, the loss trains only the image tower.
    """

    _features: Tensor
    _owners: Tensor

    def __init__(self, options: TemplateOptions, context: Context) -> None:
        super().__init__(options, context)
        self.class_features_refresh = options.refresh

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self.refresh_class_features(start.class_features.detach())
        self._owners = torch.arange(len(self._features), device=self.context.device)

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Use newly encoded class text features (C, D), which may have a gradient."""
        self._features = class_features.to(self.context.device)

    def classifier(self) -> Classifier:
        """Return the current features of the class texts (C, D), without gradient."""
        return Classifier(self._features.detach(), self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets (B, D), the labels' text features, with a classifier of all classes."""
        targets = self._features[stream.labels]
        return Supervision(stream, targets, Classifier(self._features, self._owners))

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Free the step's autograd graph; features change only when they are encoded again."""
        self._features = self._features.detach()

    def state(self) -> dict[str, Tensor]:
        """Return the features of the class texts (C, D)."""
        return {"class_features": self._features.detach().clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self.refresh_class_features(state["class_features"])


class MomentumPrototypes(PrototypeAggregator[MomentumOptions]):
    """Prototypes that move towards the mixed descriptions of their images, with momentum.

    A target is the prototype of a label, moved towards the mixed descriptions. The next prototype
    of a class is the mean of its targets, scaled to unit length. `update` replaces the prototype
    tensor and never writes into it, so tensors that were returned before do not change.
    """

    _prototypes: Tensor
    _epoch_start_prototypes: Tensor
    _owners: Tensor
    _weights: Mapping[str, float]

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self._prototypes = start.class_features.detach().to(self.context.device)
        self._epoch_start_prototypes = self._prototypes
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)
        self._weights = start.description_weights

    def classifier(self) -> Classifier:
        """Return the current prototypes (C, D)."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets z = P[c] + alpha (u - P[c]), (B, D), with alpha = 1 - momentum.

        P are the prototypes, c the labels and u the mixed descriptions; gradient flows through u
        only. Unless `normalize_targets` is set, the norm of z is slightly below 1. Without texts,
        z = P[c]: self-training on prototypes that do not change.
        """
        own = self._prototypes[stream.labels]
        targets = torch.lerp(own, self._mix(texts), 1 - self.options.momentum) if texts else own
        if self.options.normalize_targets:
            targets = normalize(targets, dim=1)
        return Supervision(stream, targets, self.classifier())

    def _mix(self, texts: Mapping[str, Tensor]) -> Tensor:
        """Return mixed descriptions u (B, D), in the prototypes' dtype, to keep small changes."""
        features = {name: text.to(self._prototypes.dtype) for name, text in texts.items()}
        if self.options.mixer == "mean":
            return mix_descriptions(features, self._weights, None)
        now = self.options.margins == "current"
        prototypes = self._prototypes if now else self._epoch_start_prototypes
        classifier = Classifier(prototypes, self._owners)
        return mix_descriptions(features, self._weights, classifier)

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Set each class's prototype to the unit vector along the weighted mean of its targets.

        The targets of all label streams count: an image with the same class in two streams counts
        twice. A class without an image of positive weight keeps its prototype.
        """
        sums = torch.zeros_like(self._prototypes)
        for supervision in supervisions:
            assert supervision.targets is not None, "not a supervision of these prototypes"
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, supervision.stream.labels, supervision.targets * weights)
        # Mean and sum have the same direction.
        lengths = sums.norm(dim=1, keepdim=True)
        self._prototypes = torch.where(lengths > 0, sums / lengths, self._prototypes)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Store the epoch's first prototypes, which the option `margins: epoch_start` uses."""
        self._epoch_start_prototypes = self._prototypes

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D); with `margins: epoch_start`, also the stored ones."""
        state = {"prototypes": self._prototypes.clone()}
        if self.options.margins == "epoch_start":
            state["epoch_start_prototypes"] = self._epoch_start_prototypes.clone()
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)
        if self.options.margins == "epoch_start":
            stored = state["epoch_start_prototypes"]
            self._epoch_start_prototypes = stored.to(self.context.device)


_AT_REST = 1e-6
"""Prototypes are at a fixed point if an update changes no entry by more than this."""


class ReEstimatedPrototypes(EstimatedPrototypes[ReEstimatedOptions]):
    """LatteCLIP's prototype update over the whole training set, repeated until a fixed point.

    At the published learning rate, LatteCLIP's towers hardly change while prototypes follow the
    texts. Here the towers are frozen.
    """

    @torch.no_grad()
    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the zero-shot prototypes (C, D) after at most `rounds` updates."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        moving = MomentumPrototypes(options, self.context)
        moving.start(start)
        prototypes = moving.classifier().weights
        images = start.image_features.to(prototypes)
        images = images + shift_to_texts(images, prototypes)
        for _ in range(self.options.rounds):
            before = prototypes
            moving.update(self._supervisions(moving, start, images))
            prototypes = moving.classifier().weights
            if torch.allclose(prototypes, before, rtol=0.0, atol=_AT_REST):
                break
        return prototypes

    def _supervisions(
        self, moving: MomentumPrototypes, start: TrainingStart, images: Tensor
    ) -> list[Supervision]:
        """Return the supervisions of all images, for zero-shot and for current labels."""
        features = start.image_features.to(images)
        current = _nearest(moving, features)
        streams = {"frozen": start.zero_shot_labels.to(current), "current": current}
        return [
            supervision
            for name, labels in streams.items()
            for supervision in self._of_stream(name, labels, moving, start, images)
        ]

    def _of_stream(
        self,
        name: str,
        labels: Tensor,
        moving: MomentumPrototypes,
        start: TrainingStart,
        images: Tensor,
    ) -> list[Supervision]:
        """Return the supervisions of one label stream, from the texts and from the images.

        With w = `image_weight`, the target of an image is (1 - w) z + w z', with z from the mixed
        texts and z' from the image feature. It is returned as two supervisions: z with weight 1 - w
        and z' with weight w. A supervision of weight 0 is not returned.
        """
        share = self.options.image_weight
        supervisions = []
        if share < 1:
            texts = {text: row.to(images) for text, row in start.texts(labels).items()}
            stream = LabelStream(name, labels, images.new_full((len(labels),), 1 - share))
            supervisions.append(moving.supervise(stream, texts, images))
        if share > 0:
            own = moving.classifier().weights[labels]
            targets = torch.lerp(own, images, 1 - self.options.momentum)
            stream = LabelStream(name, labels, images.new_full((len(labels),), share))
            supervisions.append(Supervision(stream, targets))
        return supervisions


def _nearest(moving: MomentumPrototypes, features: Tensor) -> Tensor:
    blocks = row_blocks(len(features), len(moving.classifier().weights))
    return torch.cat([moving.similarities(features[rows]).argmax(dim=1) for rows in blocks])


_ROWS_PER_BLOCK = 8192
"""Largest number of images per block of probabilities (images, C); fewer for many classes."""


class AnchoredPrototypes(EstimatedPrototypes[AnchoredOptions]):
    """Prototypes from class texts and frozen image features; descriptions are not used."""

    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the prototypes that `anchored_prototypes` estimates from all training images."""
        scale = float(self.context.frozen_clip().logit_scale.detach())
        return anchored_prototypes(
            start.image_features.to(self.context.device),
            start.class_features.detach().to(self.context.device),
            scale,
            self.options,
        )


@torch.no_grad()
def anchored_prototypes(
    image_features: Tensor, class_features: Tensor, logit_scale: float, options: AnchoredOptions
) -> Tensor:
    """Estimate unit prototypes (C, D) from unit features of images (N, D) and class texts (C, D).

    In each round, images are assigned to classes with their probabilities under the current
    prototypes, and a prototype becomes the unit vector along

        (1 - b) * text + b * centre,    b = image_weight * n / (n + shrinkage),

    where n is the sum of the class's probabilities, and the centre is the mean of the images,
    weighted by these probabilities, after `shift_to_texts`. A class without images keeps its text.
    """
    shift = shift_to_texts(image_features, class_features)
    prototypes = class_features
    for _ in range(options.rounds):
        counts, sums = _assigned(image_features, prototypes, logit_scale * options.sharpness)
        centres = normalize(sums + counts * shift, dim=1)
        weight = options.image_weight * counts / (counts + options.shrinkage)
        weight = torch.where(counts > 0, weight, 0)
        prototypes = normalize(torch.lerp(class_features, centres, weight), dim=1)
    return prototypes


def _assigned(features: Tensor, prototypes: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return, per class, summed probabilities (C, 1) and the weighted sum of features (C, D)."""
    counts = prototypes.new_zeros(len(prototypes), 1)
    sums = torch.zeros_like(prototypes)
    for block in torch.split(features, min(_ROWS_PER_BLOCK, rows_per_block(len(prototypes)))):
        shares = (scale * block @ prototypes.T).softmax(dim=1)
        counts += shares.sum(dim=0).unsqueeze(1)
        sums += shares.T @ block
    return counts, sums
