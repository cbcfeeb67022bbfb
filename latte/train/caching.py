"""Choose each learner's encoders: what can be computed once is computed before the first step."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.backbone.encode import count_rows, encode_many_texts, encode_text_states
from latte.backbone.precision import encoding_in
from latte.interfaces import Progress, TextTrunk, Trunk
from latte.train.encoding import (
    ImagesFromStates,
    TextsFromStates,
    constant_images,
    constant_texts,
)
from latte.train.learner import Learner
from latte.train.training import Training

LARGEST_STATES = 4 * 2**30
"""Largest size in bytes of the cached outputs of frozen layers, for the images of a split and for
all texts. It does not depend on the machine, because results with and without the cache can differ
by rounding."""


def choose_encoders(training: Training, learner: Learner, progress: Progress) -> None:
    """Replace the learner's encoders by encoders that look up what does not change in training.

    Features of frozen towers are computed without dropout, and from the evaluation view of images.
    """
    if training.view.augment is None:
        if not learner.images.trains:
            learner.images = constant_images(training.start.image_features)
        elif training.image_states is not None and _reuses_images(training):
            _cache_image_states(training, learner, progress)
    texts = _texts_of_steps(training, learner)
    if not texts:
        return
    if not learner.texts.trains:
        features = _constant_features(training, learner, texts, progress)
        learner.texts = constant_texts(features.to(learner.device), texts)
    elif _reuses_texts(training):
        _cache_text_states(learner, texts, progress)


def state_bytes(trunk: Trunk | TextTrunk, rows: int) -> int:
    """Return the size in bytes of `rows` cached rows of the frozen layers' outputs, in fp32."""
    return rows * trunk.width * torch.float32.itemsize


def _reuses_images(training: Training) -> bool:
    """Return True if caching the frozen layers' outputs for images costs no extra encoding."""
    return training.total_steps * training.settings.batch_size >= len(training.images)


def _reuses_texts(training: Training) -> bool:
    """Return True if caching the frozen layers' outputs for all texts costs no extra encoding.

    An epoch uses one text per image and description, so a short training may not need all texts.
    """
    inputs = training.inputs
    texts_per_image = [
        inputs.bank.own_rows(name).shape[1]
        for name in inputs.descriptions
        if name not in inputs.bank.of_class
    ]
    trained_images = training.total_steps * training.settings.batch_size
    return trained_images >= len(training.images) * max(texts_per_image, default=1)


def _texts_of_steps(training: Training, learner: Learner) -> list[str]:
    """Return all distinct texts that steps may encode: first descriptions, then class texts."""
    inputs = training.inputs
    description_texts = inputs.bank.unique_texts if inputs.descriptions else ()
    is_encoded_in_steps = learner.aggregator.class_features_refresh == "step"
    class_texts = inputs.class_texts.sentences if is_encoded_in_steps else ()
    return [*dict.fromkeys([*description_texts, *class_texts])]


def _cache_image_states(training: Training, learner: Learner, progress: Progress) -> None:
    trunk, images = learner.backbone.image_trunk(), len(training.images)
    if trunk is None or not _fits(state_bytes(trunk, images), f"{images:,} images", progress):
        return
    assert training.image_states is not None, "see `choose_encoders`"
    states = training.image_states(trunk, learner.trained_in_backbone).to(learner.device)
    learner.images = ImagesFromStates(trunk, states, learner.arithmetic, learner.device)


def _constant_features(
    training: Training, learner: Learner, texts: list[str], progress: Progress
) -> Tensor:
    """Return the features (M, D) of M `texts`; those of descriptions may come from a cache."""
    feature_blocks = []
    with encoding_in(learner.arithmetic, learner.device):
        if training.bank_features is not None and training.inputs.descriptions:
            feature_blocks.append(training.bank_features().cpu())
        if missing_texts := texts[sum(map(len, feature_blocks)) :]:
            title = "encode descriptions"
            feature_blocks.append(
                encode_many_texts(learner.backbone, missing_texts, progress, title)
            )
    return torch.cat(feature_blocks)


def _cache_text_states(learner: Learner, texts: list[str], progress: Progress) -> None:
    trunk = learner.backbone.text_trunk()
    if trunk is None:
        return
    lengths = count_rows(trunk, texts)
    size = state_bytes(trunk, int(lengths.sum()))
    if _fits(size, f"{len(texts):,} texts", progress):
        with encoding_in(learner.arithmetic, learner.device):
            states = encode_text_states(trunk, texts, lengths, progress, learner.device)
        indices = {text: index for index, text in enumerate(texts)}
        learner.texts = TextsFromStates(trunk, states, lengths, indices, learner.arithmetic)


def _fits(size: int, inputs: str, progress: Progress) -> bool:
    fits = size <= LARGEST_STATES
    verdict = "and are computed once" if fits else "too much to cache: every step computes them"
    memory = f"{size / 2**20:,.0f} MiB for {inputs}"
    progress.say(f"train: outputs of frozen layers take {memory}, {verdict}")
    return fits
