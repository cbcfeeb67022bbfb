"""A learner: one trained copy of the backbone with its prototypes, loss and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from latte.backbone.encode import check_features, count_rows, encode_many_texts, encode_text_states
from latte.interfaces import Backbone, Loss, Progress, PrototypeAggregator, TrainingStart, Trunk
from latte.interfaces.settings import OptimizerSettings, Precision, TrainSettings
from latte.toolkit.blocks import rows_per_block
from latte.train.features import (
    LARGEST_STATES,
    BankFeatures,
    CachedStates,
    CachedTexts,
    CachedTextStates,
    ImageStates,
    StepInputs,
    state_bytes,
)
from latte.train.precision import (
    Arithmetic,
    LossScaler,
    backward_in,
    choose_arithmetic,
    encoding_in,
    forward_in,
)


@dataclass
class Learner:
    """One copy of the backbone that is trained, with its prototypes, loss and optimiser."""

    name: str
    backbone: Backbone
    parameters: Mapping[str, nn.Parameter]
    """Trained parameters by name; those of the loss are named `loss.NAME`."""
    aggregator: PrototypeAggregator[Any]
    loss: Loss[Any] | None
    """The loss of each step; None only if the run takes no training step."""
    optimizer: torch.optim.Optimizer | None
    peak_learning_rate: float
    gradient_clip: float | None
    arithmetic: Arithmetic = "fp32"
    """Arithmetic of the two towers; labels, prototypes and losses are always in fp32."""
    micro_batch_size: int | None = None
    """Number of images or texts per forward pass of a tower; None for the whole batch."""
    constant_features: Tensor | None = None
    """(N, D): features of the training images; None if views or the image tower change."""
    constant_class_features: Tensor | None = None
    """(C, D): features of the class texts; None if they change or are not needed in each step."""
    cached_texts: CachedTexts | None = None
    image_states: CachedStates | None = None
    """Outputs of the image tower's frozen layers for all images; None if they are not cached."""
    text_states: CachedTextStates | None = None
    """Outputs of the text tower's frozen layers for all texts; None if they are not cached."""

    @property
    def needs_pixels(self) -> bool:
        """True if steps encode images from pixels; False if steps use a cache."""
        return self.constant_features is None and self.image_states is None

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """Return unit features (B, D) of the training images with the indices `indices` (B,).

        `pixels` (B, 3, S, S) are views of these images; they are ignored unless `needs_pixels`.
        """
        if self.constant_features is not None:
            known = self.constant_features
            return known[indices.to(known.device, non_blocking=True)]
        with forward_in(self.arithmetic, self.device):
            if self.image_states is not None:
                return self.image_states.features(indices)
            assert pixels is not None, "features that change are encoded from pixels"
            return self.backbone.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) of M distinct texts, with gradient if the tower trains."""
        with forward_in(self.arithmetic, self.device):
            if self.text_states is not None and texts:
                return self.text_states.features(texts)
            return self.backbone.encode_texts(texts)

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of `loss`; gradients are added to the `grad` of the parameters."""
        with backward_in(self.arithmetic):
            loss.backward()  # type: ignore[no-untyped-call]

    @property
    def device(self) -> torch.device:
        """Device of the backbone."""
        return self.backbone.logit_scale.device

    @cached_property
    def scaler(self) -> LossScaler:
        """Loss scaler, active for fp16 only. Its state is saved in checkpoints."""
        return LossScaler(self.arithmetic, self.device)

    @property
    def trained_in_backbone(self) -> list[str]:
        """Names of the trained parameters of the backbone, without parameters of the loss."""
        own = loss_parameters(self.loss)
        return [name for name in self.parameters if name not in own]

    @cached_property
    def image_tower_is_trained(self) -> bool:
        """True if image features depend on trained parameters. Needs one forward pass."""
        if not self.trained_in_backbone:
            return False
        side = self.backbone.pixel_format.size
        pixels = torch.zeros(1, 3, side, side, device=self.device)
        with torch.enable_grad():
            features = self.backbone.encode_images(pixels)
        return features.requires_grad

    @cached_property
    def text_tower_is_trained(self) -> bool:
        """True if text features depend on trained parameters. Needs one forward pass."""
        if not self.trained_in_backbone:
            return False
        with torch.enable_grad():
            return self.backbone.encode_texts(["a photo"]).requires_grad

    def similarities(self, image_features: Tensor) -> Tensor:
        """Return the similarities (B, C) of unit features (B, D) to classes, without gradient."""
        with torch.no_grad():
            return self.aggregator.similarities(image_features)

    def cache_features(
        self,
        inputs: StepInputs,
        start: TrainingStart,
        bank_features: BankFeatures | None,
        progress: Progress,
        image_states: ImageStates | None,
        *,
        random_views: bool,
        text_states: bool,
    ) -> None:
        """Cache features, or outputs of frozen layers, so that steps need not compute them.

        Outputs for images are cached if `image_states` is given, and outputs for texts if
        `text_states` is true. With `random_views`, an image has another view in each epoch.
        Features of frozen towers are computed without dropout, and from the evaluation view.
        """
        if not random_views and not self.image_tower_is_trained:
            self.constant_features = start.image_features
        elif image_states is not None and not random_views:
            self._cache_image_states(len(start.image_features), image_states, progress)
        if self.text_tower_is_trained:
            if text_states:
                self._cache_text_states(inputs, progress)
            return
        if self.aggregator.class_features_refresh == "step":
            encode = self.backbone.encode_texts
            with torch.no_grad(), encoding_in(self.arithmetic, self.device):
                self.constant_class_features = inputs.class_texts.features(encode)
        if inputs.descriptions:
            texts, title = inputs.bank.unique_texts, "encode descriptions"
            with encoding_in(self.arithmetic, self.device):
                features = (
                    encode_many_texts(self.backbone, texts, progress, title)
                    if bank_features is None
                    else bank_features()
                )
            self.cached_texts = CachedTexts(features.to(self.device))

    def _cache_image_states(
        self, images: int, image_states: ImageStates, progress: Progress
    ) -> None:
        trunk = self.backbone.image_trunk()
        if trunk is None or not _fits(state_bytes(trunk, images), f"{images:,} images", progress):
            return
        states = image_states(trunk, self.trained_in_backbone)
        self.image_states = CachedStates(trunk, states.to(self.device))

    def _cache_text_states(self, inputs: StepInputs, progress: Progress) -> None:
        described = inputs.bank.unique_texts if inputs.descriptions else ()
        in_steps = self.aggregator.class_features_refresh == "step"
        classes = inputs.class_texts.sentences if in_steps else ()
        trunk, texts = self.backbone.text_trunk(), [*dict.fromkeys([*described, *classes])]
        if trunk is None or not texts:
            return
        lengths = count_rows(trunk, texts)
        size = state_bytes(trunk, int(lengths.sum()))
        if _fits(size, f"{len(texts):,} texts", progress):
            with encoding_in(self.arithmetic, self.device):
                states = encode_text_states(trunk, texts, lengths, progress, self.device)
            indices = {text: index for index, text in enumerate(texts)}
            self.text_states = CachedTextStates(trunk, states, lengths, indices)

    def features_of(self, trunk: Trunk, states: Tensor, size: int | None = None) -> Tensor:
        """Compute unit features (N, D) from `states` (N, W), the outputs of the frozen layers.

        The features have no gradient. If `states` come from batches of `size`, the features are
        bit-identical to features of the whole tower in the same batches. Raises `LatteError` if a
        feature is zero or not finite, because training diverged.
        """
        with torch.no_grad(), encoding_in(self.arithmetic, self.device):
            parts = torch.split(states, size or rows_per_block(trunk.width))
            features = torch.cat([trunk.features(part.to(self.device)).cpu() for part in parts])
        check_features(features, "image")
        return features


def _fits(size: int, inputs: str, progress: Progress) -> bool:
    fits = size <= LARGEST_STATES
    then = "and are computed once" if fits else "too much to cache: every step computes them"
    taken = f"{size / 2**20:,.0f} MiB for {inputs}"
    progress.say(f"train: outputs of frozen layers take {taken}, {then}")
    return fits


def build_learner(
    name: str,
    frozen: Backbone,
    select: Callable[[Backbone], Mapping[str, nn.Parameter]],
    aggregator: PrototypeAggregator[Any],
    loss: Loss[Any] | None,
    optimizer: OptimizerSettings,
    precision: Precision = "auto",
    micro_batch_size: int | None = None,
) -> Learner:
    """Return a learner with a copy of the frozen CLIP; `select` chooses trainable parameters."""
    backbone = frozen.fork()
    parameters = {**select(backbone), **loss_parameters(loss)}
    return Learner(
        name=name,
        backbone=backbone,
        parameters=parameters,
        aggregator=aggregator,
        loss=loss,
        optimizer=build_optimizer(parameters, optimizer) if parameters else None,
        peak_learning_rate=optimizer.learning_rate,
        gradient_clip=optimizer.gradient_clip,
        arithmetic=choose_arithmetic(precision, backbone.logit_scale.device),
        micro_batch_size=micro_batch_size,
    )


def loss_parameters(loss: Loss[Any] | None) -> dict[str, nn.Parameter]:
    """Return the trainable parameters of the loss, named `loss.NAME`."""
    own = {} if loss is None else loss.parameters()
    return {f"loss.{name}": value for name, value in own.items()}


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """Return an optimiser of `parameters`, without weight decay for biases and other vectors."""
    matrices = [value for value in parameters.values() if value.ndim >= 2]
    vectors = [value for value in parameters.values() if value.ndim < 2]
    kinds = ((matrices, settings.weight_decay), (vectors, 0.0))
    groups = [{"params": one, "weight_decay": decay} for one, decay in kinds if one]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=True
    )


def learning_rate_factor(step: int, total_steps: int, settings: TrainSettings) -> float:
    """Return the learning rate of step `step` (from 0), divided by the peak learning rate.

    It rises linearly during warm-up. Then it is constant, or follows half a cosine down to 0 at
    `total_steps` (Loshchilov & Hutter 2017, without restarts).
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * progress))
