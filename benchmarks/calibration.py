"""Error of a taught model's confidence, with and without the answers that were left out.

Each set's training images are a folder of at most 500 images, and as many test images are unseen. A
simulated person gives the true classes of some images: `30 random` images, or `30 in order`, the
images that latte asks about first. The model is taught, and taught again without a fifth of the
answers, five times. The expected calibration error (15 bins) of own images without an answer is
that of the posterior, and of unseen images that of the classifier. From each error, that of a
temperature is subtracted which was fitted to all true labels of the same images. *Label-free* is
the estimate without the answers.

The growth and the spread of the prior are chosen on every second set, by the mean excess over all
plans and both kinds of images, and judged on the other sets; then the halves are exchanged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean
from zlib import crc32

import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch import Tensor

from benchmarks.answer_plans import PLANS, answers
from benchmarks.answer_rivals import AnsweredSet
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import say, table
from latte.api import Posterior
from latte.evaluate.calibration import (
    calibration_error,
    expected_accuracy,
    matching_exponent,
    matching_scale,
)
from latte.evaluate.left_out import answered_exponent, answered_scale
from latte.models.left_out import LeftOutScores, joined
from latte.models.posterior import OwnImages
from latte.run.cross_fit import FOLDS, LEAST_SERIES, folds
from latte.toolkit.self_taught import Taught

GROWTHS, SPREADS = (0.0, 0.2, 0.4, 0.6), (0.4, 0.7, 1.0)
FLAT = 1e3
"""Spread of a prior that says nothing, for fits to all true labels."""
USUAL_PLANS = ("10 random", "30 random", "100 random")

Prior = tuple[float, float]
"""Growth and spread; see `latte.evaluate.left_out`."""
CalibrationErrors = tuple[float, float]
"""Excess of the calibration error on own images without an answer, and on unseen images."""


@dataclass(frozen=True)
class TaughtModel:
    """A taught model, with what is needed to calibrate it and to judge its confidence."""

    posterior: Posterior
    """Posterior of the own images without an answer."""
    own_labels: Tensor
    """True classes of these images."""
    logits: Tensor
    """Logits of the unseen images by the classifier."""
    unseen_labels: Tensor
    label_free: tuple[float, float]
    """Exponent and scale without the answers."""
    left_out: LeftOutScores | None
    """Sample of left-out answers; None with too few."""

    def errors(self, exponent: float, scale: float) -> CalibrationErrors:
        """Return the calibration errors on own and on unseen images."""
        own_images = OwnImages(self.posterior, (), exponent)
        confidence, labels = (scale * self.logits).softmax(dim=1).max(dim=1)
        return (
            calibration_error(
                own_images.confidences[:, 0], self.posterior.labels[:, 0] == self.own_labels
            ),
            calibration_error(confidence, labels == self.unseen_labels),
        )

    @property
    def least(self) -> CalibrationErrors:
        """Errors of temperatures that were fitted to all true labels of the same images."""
        labels, probabilities = self.posterior.labels, self.posterior.probabilities
        flat = {"growth": 0.0, "spread": FLAT}
        exponent = answered_exponent(labels, probabilities, self.own_labels, 1.0, **flat)
        scale = answered_scale(self.logits, self.unseen_labels, 1.0, 1.0, **flat)
        return self.errors(exponent, scale)

    def calibrated(self, prior: Prior) -> tuple[float, float]:
        """Return exponent and scale with the left-out answers."""
        exponent, scale = self.label_free
        if self.left_out is None:
            return exponent, scale
        growth, spread = prior
        sample = self.left_out
        own_sample = (sample.own.labels, sample.own.probabilities, sample.answers)
        return (
            answered_exponent(*own_sample, exponent, growth=growth, spread=spread),
            answered_scale(
                sample.similarities, sample.answers, scale, 1.0, growth=growth, spread=spread
            ),
        )


Measured = Mapping[str, Mapping[str, Sequence[Mapping[Prior | None, CalibrationErrors]]]]
"""Excess by set, plan, draw and prior; the prior None is the estimate without the answers."""


def main(arguments: Sequence[str]) -> None:
    """Print the mean excess by plan, then that of each set."""
    parser = set_parser(
        "calibration", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--plan", action="append", choices=PLANS, help=f"default: {USUAL_PLANS}")
    parser.add_argument("--draws", type=positive, default=2)
    parser.add_argument("--most", type=positive, default=500, help="images per part (%(default)s)")
    options = parser.parse_args(arguments)
    plans = options.plan or USUAL_PLANS
    excesses = {
        labelled.name: {
            plan: [_excesses(taught(labelled, plan, draw)) for draw in range(options.draws)]
            for plan in plans
        }
        for labelled in (_cut(labelled, options.most) for labelled in load_sets(options))
    }
    say(f"{len(excesses)} sets, {options.draws} draws; own / unseen images", "")
    _say_tables(excesses, plans)


def taught(labelled: LabelledSet, plan: str, draw: int) -> TaughtModel:
    """Return the model that the answers of one draw teach."""
    answered = AnsweredSet(labelled)
    seed = crc32(f"{answered.name} {plan} {draw}".encode())
    given_classes = answers(answered, plan, torch.Generator().manual_seed(seed))
    fitted, is_asked = answered.taught(given_classes), given_classes >= 0
    posterior = _posterior(fitted, ~is_asked)
    own_logits = logits_of(fitted, answered.own[~is_asked])
    zero_shot = (labelled.logit_scale * answered.own[~is_asked] @ labelled.texts.T).softmax(dim=1)
    label_free = (
        matching_exponent(
            posterior.probabilities, expected_accuracy(zero_shot, posterior.labels[:, 0])
        ),
        matching_scale(own_logits, expected_accuracy(zero_shot, own_logits.argmax(dim=1)), 1.0),
    )
    return TaughtModel(
        posterior,
        labelled.train.labels[~is_asked],
        logits_of(fitted, answered.unseen),
        labelled.test.labels,
        label_free,
        left_out(answered, given_classes),
    )


def left_out(answered: AnsweredSet, given_classes: Tensor) -> LeftOutScores | None:
    """Return what fits say about answers that they do not know; None with too few answers."""
    rows = (given_classes >= 0).nonzero().squeeze(1).tolist()
    if len(rows) < LEAST_SERIES:
        return None
    labels = {str(row): int(given_classes[row]) for row in rows}
    fold_of = folds(labels, {key: int(key) for key in labels})
    folds_left_out = []
    for fold in range(FOLDS):
        hidden = torch.tensor([row for row in rows if fold_of[str(row)] == fold])
        fitted = answered.taught(given_classes.index_fill(0, hidden, -1))
        logits = logits_of(fitted, answered.own[hidden])
        folds_left_out.append(
            LeftOutScores(given_classes[hidden], logits, _posterior(fitted, hidden))
        )
    return joined(folds_left_out)


def _posterior(taught: Taught, rows: Tensor) -> Posterior:
    posterior = taught.posterior
    return Posterior(posterior.labels[rows], posterior.probabilities[rows])


def logits_of(taught: Taught, features: Tensor) -> Tensor:
    """Return the logits (B, C) of features (B, D) by the classifier of new images."""
    return torch.addmm(taught.bias, features, taught.rows[0].T)


def _cut(labelled: LabelledSet, most: int) -> LabelledSet:
    """Return the set with at most `most` random images in each part."""

    def part(images: LabelledImages) -> LabelledImages:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        return images.take(order[:most].sort().values)

    return replace(labelled, train=part(labelled.train), test=part(labelled.test))


def _excesses(model: TaughtModel) -> dict[Prior | None, CalibrationErrors]:
    least = model.least
    factors: dict[Prior | None, tuple[float, float]] = {None: model.label_free}
    factors |= {prior: model.calibrated(prior) for prior in product(GROWTHS, SPREADS)}
    return {
        prior: (errors[0] - least[0], errors[1] - least[1])
        for prior, errors in ((prior, model.errors(*pair)) for prior, pair in factors.items())
    }


def chosen(excesses: Measured, names: Sequence[str]) -> Prior:
    """Return the prior with the lowest mean excess on the sets `names`."""
    return min(
        product(GROWTHS, SPREADS),
        key=lambda prior: mean(
            sum(draw[prior])
            for name in names
            for draws in excesses[name].values()
            for draw in draws
        ),
    )


def judged(excesses: Measured) -> dict[str, Prior]:
    """Return, for each set, the prior that the other half of the sets chose."""
    names = [*excesses]
    halves = names[::2], names[1::2]
    if not halves[1]:
        return {name: chosen(excesses, names) for name in names}
    priors = chosen(excesses, halves[1]), chosen(excesses, halves[0])
    return {name: prior for half, prior in zip(halves, priors, strict=True) for name in half}


def excess_of(excesses: Measured, name: str, plan: str, prior: Prior | None) -> CalibrationErrors:
    """Return the mean excess over draws."""
    own_excesses, unseen_excesses = zip(
        *(draw[prior] for draw in excesses[name][plan]), strict=True
    )
    return mean(own_excesses), mean(unseen_excesses)


def _say_tables(excesses: Measured, plans: Sequence[str]) -> None:
    priors = judged(excesses)
    all_sets = chosen(excesses, [*excesses])
    say("growth and spread: " + ", ".join(map(str, sorted({*priors.values()}))), "")
    say(f"all sets would choose {all_sets}", "")
    columns: dict[str, Callable[[str], Prior | None]] = {
        "label-free": lambda name: None,
        "left-out answers": lambda name: priors[name],
    }

    def cells(names: Sequence[str], prior_of: Callable[[str], Prior | None]) -> list[str]:
        results = []
        for plan in plans:
            pairs = [excess_of(excesses, name, plan, prior_of(name)) for name in names]
            own_excess, unseen_excess = (mean(part) for part in zip(*pairs, strict=True))
            results.append(f"{own_excess:+.3f} / {unseen_excess:+.3f}")
        return results

    say(
        table(
            ["mean", *plans],
            [[title, *cells([*excesses], column_prior)] for title, column_prior in columns.items()],
        )
    )
    for title, column_prior in columns.items():
        say("", table([title, *plans], [[name, *cells([name], column_prior)] for name in excesses]))
