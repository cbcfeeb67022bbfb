"""Gains of an image-only encoder beside the CLIP, on folders as people have them.

Sets are images that the CLIP and each `--encoder` encode, or files of features; see
`benchmarks.encoded_sets`. Folders are balanced, show a fifth of the names, or have fifty images; of
balanced folders, a simulated person also gives the classes of 1 or 5 random images per class. A
gain is the accuracy in points over zero-shot CLIP, on own images without an answer and on unseen
images. An encoder with the weight 0 must leave every label as it is without the encoder; otherwise
the measurement stops.

The limits of the encoders' weights were chosen on textures, flowers, pets and scenes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import cast

import torch
from latte_benchmarks.folder_cells import CELL, Folder, draw
from latte_selftaught.labeler import SelfTaughtLabeler
from torch import Tensor

from benchmarks.encoded_sets import ALONE, EncodedSet, encoded_sets
from benchmarks.folder_methods import context_of
from benchmarks.folder_sets import positive, set_parser, sets_of
from benchmarks.measuring import no_descriptions, say, table
from latte.evaluate.similarities import mean_similarities
from latte.interfaces import TrainingStart
from latte.run.frozen import LEARNER, built, frozen_method
from latte.train.fit import fit

_CELLS = {"balanced": "all names", "few names": "a fifth of the set's names", "50": "50 images"}
_ANSWERS = {"1 per class": 1, "5 per class": 5}


@dataclass(frozen=True)
class EncoderLabels:
    """Labels of own and of unseen images."""

    own: Tensor
    unseen: Tensor
    weights: Mapping[str, float]
    """Weight of each encoder."""


@dataclass(frozen=True)
class EncoderGain:
    """Gains over zero-shot CLIP in points, and the weight of the encoder."""

    own: float
    unseen: float
    weight: float


EncoderResults = dict[tuple[str, str, str], list[EncoderGain]]
"""Gains of all draws, by set, column and encoder."""


def main(arguments: Sequence[str]) -> None:
    """Print the gains by encoder, and by set."""
    parser = set_parser("encoders", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny", help="the CLIP (%(default)s)")
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="NAME[:MODEL]", help="for sets of images"
    )
    parser.add_argument("--draws", type=positive, default=3, help="folders per cell (%(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    sets = encoded_sets(sets_of(options), options.encoder, options.model)
    results: EncoderResults = defaultdict(list)
    for encoded in sets:
        for column, cell in _CELLS.items():
            for seed in range(options.draws):
                folder = draw(encoded.labelled, CELL[cell], seed, [encoded.labelled])
                plans = {column: 0} | (_ANSWERS if column == "balanced" else {})
                for plan, number in plans.items():
                    answered = with_answers(folder, number, seed)
                    for name, gain in gains(encoded, answered).items():
                        results[encoded.labelled.name, plan, name].append(gain)
        say(*set_lines(results, encoded))
    say("", summary(results, sets))


def with_answers(folder: Folder, number: int, seed: int) -> Folder:
    """Return the folder with the true classes of `number` random images per class."""
    if number == 0:
        return folder
    truth = folder.own.labels
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))
    corrections = torch.full_like(truth, -1)
    for label in range(len(folder.names)):
        rows = order[truth[order] == label][:number]
        corrections[rows] = label
    return replace(folder, corrections=corrections)


def gains(encoded: EncodedSet, folder: Folder) -> dict[str, EncoderGain]:
    """Return the gains of the CLIP alone, and with each encoder."""
    alone = fitted(encoded, folder, None)
    gains = {ALONE: gain(folder, alone, 0.0)}
    for name in [*encoded.widths][1:]:
        labels = fitted(encoded, folder, name)
        weight = labels.weights[name]
        if weight == 0 and not torch.equal(labels.own, alone.own):
            raise RuntimeError(f"{name} has the weight 0, but it changed labels")
        gains[name] = gain(folder, labels, weight)
    return gains


@torch.no_grad()
def fitted(encoded: EncodedSet, folder: Folder, encoder: str | None) -> EncoderLabels:
    """Return the labels of latte's default labeler, with one encoder or without."""
    own_parts = encoded.parts(folder.own.features)
    unseen_parts = encoded.parts(folder.test.features)
    images = own_parts[ALONE]
    texts = folder.texts[:, : images.shape[1]]
    start = TrainingStart(
        folder.names,
        texts,
        images,
        (images @ texts.T).argmax(dim=1),
        no_descriptions,
        corrections=folder.corrections,
        encode_names=folder.encode_names,
        encoder_features={} if encoder is None else {encoder: own_parts[encoder]},
    )
    method = built(frozen_method({"self-taught": {}}), context_of(folder))
    outcome = fit(method, start)
    features = [unseen_parts[ALONE if name == LEARNER else name] for name in outcome.classifiers]
    similarities = mean_similarities([*outcome.classifiers.values()], features)
    labeler = cast("SelfTaughtLabeler", method.labelers["self-taught"])
    return EncoderLabels(
        outcome.labels,
        similarities.argmax(dim=1),
        {name: float(name in labeler.encoders) for name in start.encoder_features},
    )


def gain(folder: Folder, labels: EncoderLabels, weight: float) -> EncoderGain:
    """Return the gains of `labels` over zero-shot CLIP."""
    counted = torch.ones_like(folder.own.labels, dtype=torch.bool)
    if folder.corrections is not None:
        counted = folder.corrections < 0
    zero_shot = [
        (images.features @ folder.texts.T).argmax(dim=1) for images in (folder.own, folder.test)
    ]
    own_gain = _points(labels.own[counted], zero_shot[0][counted], folder.own.labels[counted])
    return EncoderGain(own_gain, _points(labels.unseen, zero_shot[1], folder.test.labels), weight)


def _points(labels: Tensor, zero_shot: Tensor, truth: Tensor) -> float:
    right = (labels == truth).double() - (zero_shot == truth).double()
    return 100 * float(right.mean())


def set_lines(results: EncoderResults, encoded: EncodedSet) -> list[str]:
    """Return one line per column of a set: gains on own and unseen images, and mean weights."""
    lines = []
    for column in (*_CELLS, *_ANSWERS):
        cells = [
            f"{name} {_mean(draws, 'own'):+.1f} / {_mean(draws, 'unseen'):+.1f}"
            + ("" if name == ALONE else f" (weight {_mean(draws, 'weight'):.2f})")
            for name in encoded.widths
            for draws in [results[encoded.labelled.name, column, name]]
        ]
        lines.append(f"{encoded.labelled.name}, {column}: " + "; ".join(cells))
    return lines


def summary(results: EncoderResults, sets: Sequence[EncodedSet]) -> str:
    """Return a table of mean and lowest gains over the sets, on own and on unseen images."""
    columns = [*_CELLS, *_ANSWERS]
    rows = []
    for name in sets[0].widths:
        for part in ("own", "unseen"):
            cells = []
            for column in columns:
                by_set = [
                    _mean(results[encoded.labelled.name, column, name], part) for encoded in sets
                ]
                cells.append(f"{mean(by_set):+.1f} ({min(by_set):+.1f})")
            rows.append([f"{name}, {part}", *cells])
    return table(["", *columns], rows)


def _mean(draws: Sequence[EncoderGain], part: str) -> float:
    return float(mean(getattr(draw, part) for draw in draws))
