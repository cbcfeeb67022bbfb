"""What training cannot change is encoded before the first step, and looked up after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_many_texts
from latte.interfaces import Progress, TrainingStart
from latte.interfaces.settings import TrainSettings
from latte.train.learner import Learner
from latte.train.step import StepInputs
from latte.train.texts import CachedTexts, RefreshedTexts

BankFeatures = Callable[[], Tensor]
"""(M, D) features of a bank's `unique_texts` by the frozen CLIP."""


def keep_constant_features(
    learner: Learner,
    inputs: StepInputs,
    start: TrainingStart,
    settings: TrainSettings,
    bank_features: BankFeatures | None,
    progress: Progress,
) -> None:
    """Give `learner` the features of towers that it does not train.

    Frozen features come from the evaluation view and without dropout. They differ from those that
    a step would encode by rounding, as they are encoded among others.
    """
    if settings.augment is None and not learner.image_tower_trains:
        learner.constant_features = start.image_features
    if learner.text_tower_trains:
        if settings.refresh_captions is not None:
            learner.cached_texts = _refreshed(learner, inputs, settings.refresh_captions)
        return
    if learner.aggregator.class_features_refresh == "step":
        with torch.no_grad():
            encode = learner.backbone.encode_texts
            learner.constant_class_features = inputs.class_texts.features(encode)
    if inputs.descriptions:
        features = (
            encode_many_texts(
                learner.backbone, inputs.bank.unique_texts, progress, "encode descriptions"
            )
            if bank_features is None
            else bank_features()
        )
        learner.cached_texts = CachedTexts(features.to(learner.device), inputs.descriptions)


def _refreshed(learner: Learner, inputs: StepInputs, lifetime: int) -> RefreshedTexts:
    """Of what is written about images and groups; class texts are few, and go on teaching."""
    bank = inputs.bank
    names = [name for name in inputs.descriptions if name not in bank.of_class]
    like = torch.empty(0, learner.backbone.embedding_width, device=learner.device)

    def encode(texts: Sequence[str]) -> Tensor:
        return distributed.all_gather_rows(
            learner.encode_texts(distributed.share(texts)), len(texts)
        )

    return RefreshedTexts(bank.unique_texts, names, encode, lifetime, like)
