"""A learner: one adapted copy of the backbone with its prototypes, loss and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from latte import distributed
from latte.backbone.encode import check_features, encode_many_texts
from latte.interfaces import (
    Backbone,
    Loss,
    Progress,
    PrototypeAggregator,
    TrainingStart,
    Trunk,
)
from latte.interfaces.settings import OptimizerSettings, Precision, TrainSettings
from latte.toolkit.blocks import rows_per_block
from latte.train.features import (
    LARGEST_STATES,
    BankFeatures,
    CachedStates,
    CachedTexts,
    CachedViews,
    ImageStates,
    RefreshedTexts,
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
    """Backbone to train, with its prototypes, loss and optimiser; most recipes have one learner."""

    name: str
    backbone: Backbone
    parameters: Mapping[str, nn.Parameter]
    """Trained parameters by name; those of the loss are named `loss.NAME`. Empty if only prototypes
    change."""
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
    """(N, D) features of all training images; None with random views or a trained image tower."""
    constant_class_features: Tensor | None = None
    """(C, D) features of the class texts; None if the text tower trains, or if the aggregator does
    not need them in every step."""
    cached_texts: CachedTexts | None = None
    """Features of descriptions that are not encoded in every step."""
    image_states: CachedStates | None = None
    """Outputs of the image tower's frozen layers for all training images or, with a fixed number of
    views, for the epoch's views. None if training changes them or if all features are constant."""
    cached_views: CachedViews | None = None
    """Outputs of the frozen layers for all views; None unless the number of views is fixed."""
    text_states: CachedStates | None = None
    """Outputs of the text tower's frozen layers for all texts; None without `image_states`."""
    text_rows: Mapping[str, int] = field(default_factory=dict)
    """Row of each text in `text_states`."""
    records_graphs: bool = False
    """True if compiled blocks record CUDA graphs, whose outputs are overwritten in a later step."""

    @property
    def needs_pixels(self) -> bool:
        """True if a step encodes views of images."""
        return self.constant_features is None and self.image_states is None

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """Return unit features (B, D) of the training images `indices`, whose views are `pixels`.

        `pixels` (B, 3, S, S) may be None unless `needs_pixels` is true.
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
                rows = torch.tensor([self.text_rows[text] for text in texts])
                return self.text_states.features(rows)
            return self.backbone.encode_texts(texts)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to those of the parameters."""
        with backward_in(self.arithmetic):
            loss.backward()  # type: ignore[no-untyped-call]

    @property
    def device(self) -> torch.device:
        """The device of the backbone."""
        return self.backbone.logit_scale.device

    @cached_property
    def scaler(self) -> LossScaler:
        """The loss scaler of fp16; its state is part of a checkpoint."""
        return LossScaler(self.arithmetic, self.device)

    @cached_property
    def image_tower_trains(self) -> bool:
        """True if a forward pass shows that image features depend on trained parameters."""
        if not self.parameters:
            return False
        side = self.backbone.pixel_format.size
        device = next(iter(self.parameters.values())).device
        with torch.enable_grad():
            features = self.backbone.encode_images(torch.zeros(1, 3, side, side, device=device))
        return features.requires_grad

    @cached_property
    def text_tower_trains(self) -> bool:
        """True if a forward pass shows that text features depend on trained parameters."""
        if not self.parameters:
            return False
        with torch.enable_grad():
            return self.backbone.encode_texts(["a photo"]).requires_grad

    def similarities(self, image_features: Tensor) -> Tensor:
        """Return the cosine similarities (B, C) of unit features (B, D), without gradient."""
        with torch.no_grad():
            return self.aggregator.similarities(image_features)

    def cache_features(
        self,
        inputs: StepInputs,
        start: TrainingStart,
        settings: TrainSettings,
        bank_features: BankFeatures | None,
        progress: Progress,
        image_states: ImageStates | None,
    ) -> None:
        """Cache features, and outputs of frozen layers, that steps look up instead of computing.

        The outputs for `settings.views` random views are computed later; see `CachedViews`.

        Features of frozen towers are computed from the evaluation view and without dropout. They
        differ by rounding from features that a training step would compute in its own batches.
        """
        if settings.augment is None and not self.image_tower_trains:
            self.constant_features = start.image_features
        elif image_states is not None and (settings.augment is None or settings.views):
            self._cache_states(inputs, settings.views, start, image_states, progress)
        if self.text_tower_trains:
            if settings.refresh_captions is not None:
                self.cached_texts = self._refreshed_texts(inputs, settings.refresh_captions)
            return
        if self.aggregator.class_features_refresh == "step":
            encode = self.backbone.encode_texts
            with torch.no_grad(), encoding_in(self.arithmetic, self.device):
                self.constant_class_features = inputs.class_texts.features(encode)
        if inputs.descriptions:
            with encoding_in(self.arithmetic, self.device):
                features = (
                    encode_many_texts(
                        self.backbone, inputs.bank.unique_texts, progress, "encode descriptions"
                    )
                    if bank_features is None
                    else bank_features()
                )
            self.cached_texts = CachedTexts(features.to(self.device), inputs.descriptions)

    def _cache_states(
        self,
        inputs: StepInputs,
        views: int | None,
        start: TrainingStart,
        image_states: ImageStates,
        progress: Progress,
    ) -> None:
        trunk, text_trunk = self.backbone.image_trunk(), self.backbone.text_trunk()
        images = (views or 1) * len(start.image_features)
        if trunk is not None and self._fits(trunk, images, progress):
            if views:
                self.cached_views = CachedViews(trunk, state_bytes(trunk, images))
            else:
                states = image_states(trunk, [*self.parameters])
                self.image_states = CachedStates(trunk, states.to(self.device))
        if text_trunk is not None and self.text_tower_trains:
            texts = [*dict.fromkeys([*inputs.bank.unique_texts, *inputs.class_texts.sentences])]
            with encoding_in(self.arithmetic, self.device):
                states = encode_many_texts(
                    self.backbone, texts, progress, "encode texts", text_trunk
                )
            self.text_states = CachedStates(text_trunk, states.to(self.device))
            self.text_rows = {text: row for row, text in enumerate(texts)}

    def _fits(self, trunk: Trunk[Tensor], images: int, progress: Progress) -> bool:
        """Return True if the states of `images` views are small enough; report their size."""
        size = state_bytes(trunk, images)
        taken = f"train: outputs of frozen layers take {size / 2**20:,.0f} MiB for {images:,} views"
        fits = size <= LARGEST_STATES
        then = "and are computed once" if fits else "too much to cache: every step computes them"
        progress.say(f"{taken}, {then}")
        return fits

    def features_of(self, trunk: Trunk[Tensor], states: Tensor, size: int | None = None) -> Tensor:
        """Return unit features (N, D) of states (N, W) of the image `trunk`, without gradient.

        If states are processed in batches of `size`, the features are bit-identical to those of the
        whole tower with batches of `size`.
        Raises `LatteError` if a feature is zero or not finite, because training diverged.
        """
        with torch.no_grad(), encoding_in(self.arithmetic, self.device):
            parts = torch.split(states, size or rows_per_block(trunk.width))
            features = torch.cat([trunk.features(part.to(self.device)).cpu() for part in parts])
        check_features(features, "image")
        return features

    def _refreshed_texts(self, inputs: StepInputs, lifetime: int) -> RefreshedTexts:
        """Return an empty cache for all descriptions except those of scope `class`.

        Texts about classes are few, so every step encodes them with gradient.
        """
        bank = inputs.bank
        names = [name for name in inputs.descriptions if name not in bank.of_class]
        like = torch.empty(0, self.backbone.embedding_width, device=self.device)

        def encode(texts: Sequence[str]) -> Tensor:
            own = self.encode_texts(distributed.share(texts))
            return distributed.all_gather_rows(own, len(texts))

        return RefreshedTexts(bank.unique_texts, names, encode, lifetime, like)


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
    """Return a learner with a copy of the frozen CLIP; `select` returns its trained parameters."""
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
    """Return the loss's own parameters, named `loss.NAME`."""
    own = {} if loss is None else loss.parameters()
    return {f"loss.{name}": value for name, value in own.items()}


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """Return an optimiser of `parameters`; biases and other vectors get no weight decay."""
    matrices = [value for value in parameters.values() if value.ndim >= 2]
    vectors = [value for value in parameters.values() if value.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=True,
    )


def learning_rate_factor(step: int, total_steps: int, settings: TrainSettings) -> float:
    """Return the factor for the peak learning rate in step `step`, counted from 0.

    The factor rises linearly during warm-up. After warm-up it stays constant, or it follows half a
    cosine down to 0 at `total_steps` (Loshchilov & Hutter 2017, without restarts).
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * progress))
