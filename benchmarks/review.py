"""Simulated reviews: coverage of the gain's interval, and answers until its sign is decided.

Folders are drawn as in `folders`. A simulated reviewer answers, in random order, about images on
which zero-shot CLIP and the adapted model disagree; the true labels are the answers. The adapted
model is that of the default recipe without its guard, or of any recipe without steps. With
`--largest-series`, images of the same class and labels make up series of random sizes, and the
reviewer is asked about one image of each; the others share the answer. With `--moving`, the
accuracy of a model is measured that learns from the same answers; see `moving_model`. With
`--frozen`, its labels stand still while they are measured; see `frozen_model`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from latte_benchmarks.folder_cells import Folder, can_draw, cells_called, draw
from numpy.typing import NDArray

from benchmarks.folder_methods import FolderMethod, load_method, method_called, zero_shot
from benchmarks.folder_sets import load_sets, set_parser
from benchmarks.frozen_model import HEAD as FROZEN_HEAD
from benchmarks.frozen_model import frozen_rows
from benchmarks.measuring import say, table, table_row
from benchmarks.moving_model import HEAD as MOVING_HEAD
from benchmarks.moving_model import moving_rows
from latte.evaluate.confidence_sequence import is_rejected, log_wealth

Numbers = NDArray[np.float64]
RowIndices = NDArray[np.int64]

_REJECTED = math.log(2 / 0.05)
_Z = 1.96
_SITTING = 40
"""Number of answers after which coverage is measured if a reviewer errs: with more answers, the
interval converges to the gain by the reviewer's opinion, not by the truth."""


@dataclass(frozen=True)
class Case:
    """One folder: labels of N images by both models, and true labels."""

    name: str
    truth: RowIndices
    zero_shot: RowIndices
    adapted: RowIndices
    series: RowIndices
    """(N,): number of each image's series; images of a series have one true label."""

    @property
    def differ(self) -> NDArray[np.bool_]:
        """True (N,) where the models disagree."""
        return np.asarray(self.zero_shot != self.adapted)

    def values(self, answers: RowIndices) -> Numbers:
        """Return each image's part of the gain (N,), if `answers` (N,) are the true labels."""
        right = [
            (labels == answers).astype(np.float64) for labels in (self.adapted, self.zero_shot)
        ]
        return np.asarray(right[0] - right[1])


_HEAD = (
    *("folder", "images", "differ", "gain", "covered", "answers", "fixed sample", "least"),
    *("all alike", "wrong sign"),
)


def simulate(case: Case, reviewers: int, errors: float, seed: int) -> list[str]:
    """Simulate `reviewers`; a random share `errors` of their answers names a wrong class.

    Images of a series share one answer. Return the cells of a row: share of images on which the
    models differ, gain, share of reviewers whose intervals all contain the gain, and median number
    of answers until the interval excludes
    0. `fixed sample` is the number with which a sample of fixed size decides with probability one
    half: z^2 times the variance divided by the squared mean, over the disagreements. `least` is the
    number that every confidence sequence needs on average, if images are drawn with replacement:
    the log of the rejecting capital over the growth rate of the best constant bet. `all alike` is
    the median number if images are sampled from all images, not from disagreements. `wrong sign` is
    the share of reviewers whose answers decide for the wrong model.
    """
    random = np.random.default_rng(seed)
    differs, total = case.differ, len(case.truth)
    true = case.values(case.truth)[differs]
    size, gain, centre = len(true), float(true.sum()) / total, float(true.mean())
    covered, wrong, needed, alike = 0, 0, [], []
    for _ in range(reviewers):
        values = case.values(_answers(case, errors, random))
        rows = random.permutation(np.flatnonzero(differs))
        drawn, answer_counts = values[rows], _asked(case.series[rows])
        covered += _covers(drawn[answer_counts <= _SITTING] if errors else drawn, size, centre)
        when, sign = _decided(drawn, answer_counts, size)
        needed.append(when)
        wrong += sign * gain < 0
        if not errors:
            rows = random.permutation(total)
            alike.append(_decided(values[rows], _asked(case.series[rows]), total)[0])
    return [
        case.name,
        f"{total:,}",
        f"{size / total:.0%}",
        f"{100 * gain:+.1f}",
        f"{covered / reviewers:.1%}",
        f"{np.median(needed):.0f}",
        f"{_Z**2 * float(true.var()) / max(centre**2, 1e-12):.0f}",
        f"{_REJECTED / max(_growth(true), 1e-12):.0f}",
        f"{np.median(alike) if alike else math.nan:.0f}",
        f"{wrong / reviewers:.1%}",
    ]


def _growth(values: Numbers) -> float:
    """Return the mean log growth of the best constant bet against a mean of 0."""
    shares = np.linspace(0, 1, 1000, endpoint=False)[:, None]
    return float(np.log1p(shares * values * np.sign(values.mean())).mean(axis=1).max())


def _answers(case: Case, errors: float, random: np.random.Generator) -> RowIndices:
    """Return a reviewer's labels; a wrong one is the label of either model or of neither.

    The labels of a series are all right, or all wrong in the same way.
    """
    options = np.stack([case.zero_shot, case.adapted, np.full_like(case.truth, -2)])
    answers = int(case.series.max()) + 1
    chosen_options = random.integers(0, 3, answers)[case.series]
    errs = (random.random(answers) < errors)[case.series]
    return np.where(errs, options[chosen_options, np.arange(len(case.truth))], case.truth)


def _asked(series: RowIndices) -> RowIndices:
    """Return the number of answers (m,) that images of these series (m,) need, in their order."""
    is_first = np.zeros(len(series), dtype=np.int64)
    is_first[np.unique(series, return_index=True)[1]] = 1
    return np.asarray(is_first.cumsum())


def _covers(drawn: Numbers, size: int, mean: float) -> bool:
    """Return True if no bet on either side rejects the true mean at any number of answers."""
    return not is_rejected(drawn, size, -1, 1, mean).any()


def _decided(drawn: Numbers, answer_counts: RowIndices, size: int) -> tuple[float, int]:
    """Return the number of answers until 0 is excluded (infinite if never), and the gain's sign.

    `answer_counts` is the number of answers for each number of drawn images.
    """
    deciding = [math.inf, math.inf]
    for side, values in enumerate((drawn, -drawn)):
        left = size - np.arange(1, len(drawn) + 1)
        out = (log_wealth(values, size, -1, 1, 0.0) >= _REJECTED) | (values.cumsum() > left)
        if out.any():
            deciding[side] = float(out.argmax() + 1)
    if math.isinf(min(deciding)):
        return math.inf, 0
    return float(answer_counts[int(min(deciding)) - 1]), 1 if deciding[0] < deciding[1] else -1


def main(arguments: Sequence[str]) -> None:
    """Draw folders, adapt and simulate. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    recipe = options.recipe
    loaded = load_sets(options)
    if options.moving or options.frozen:
        head, make = (MOVING_HEAD, moving_rows) if options.moving else (FROZEN_HEAD, frozen_rows)
        rows = make(loaded, options.moving or options.frozen, options.reviewers, options.seed)
        say(table(head))
        for row in rows:
            say(table_row(row))
        return
    method = load_method(recipe) if recipe else method_called("self-taught")
    cells = cells_called(options.cells or ["all names"])
    cases = [
        _case(
            f"{full_set.name}, {cell.name}",
            method,
            draw(full_set, cell, 0, loaded),
            options.largest_series,
            options.seed,
        )
        for full_set in loaded
        for cell in cells
        if can_draw(full_set, cell, loaded)
    ]
    for errors in (0.0, 0.05, 0.1):
        say(f"\nreviewers who err in {errors:.0%} of their answers\n\n{table(_HEAD)}")
        for case in cases:
            if case.differ.any():
                say(table_row(simulate(case, options.reviewers, errors, options.seed)))


def _case(name: str, method: FolderMethod, folder: Folder, largest: int, seed: int) -> Case:
    models = (folder.own.labels, zero_shot(folder).own, method(folder).own)
    truth, frozen, adapted = (model_labels.numpy() for model_labels in models)
    series = made_series((truth, frozen, adapted), largest, np.random.default_rng(seed))
    return Case(name, truth, frozen, adapted, series)


def made_series(
    labels: Sequence[RowIndices], largest: int, random: np.random.Generator
) -> RowIndices:
    """Return series (N,) of 1 to `largest` images; `labels` (N,) are the true ones and the models'.

    Images of a series have the same true label. They have the same labels by both models, too,
    where these suffice, so that the values of a series are as alike as possible.
    """
    if largest == 1:
        return np.arange(len(labels[0]))
    order = np.lexsort([*reversed(labels)])
    series, number, left = np.zeros_like(order), -1, 0
    for place, row in enumerate(order):
        if not left or labels[0][row] != labels[0][order[place - 1]]:
            number, left = number + 1, int(random.integers(1, largest + 1))
        series[row], left = number, left - 1
    return series


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("review", __doc__)
    add = parser.add_argument
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--recipe", type=Path, help="a recipe without steps (default: self-taught regression)")
    add("--cells", action="append", help="kinds of folders (default: all names)")
    add("--reviewers", type=int, default=1000)
    add("--seed", type=int, default=0)
    add(
        "--moving",
        type=int,
        metavar="IMAGES",
        help="instead: a model that learns from the answers, and folders of so many images",
    )
    add("--frozen", type=int, metavar="IMAGES", help="instead: labels that stand still")
    add("--largest-series", type=int, default=1, help="images of a made series (%(default)s)")
    return parser.parse_args(arguments)
