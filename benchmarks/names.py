"""Measure if features alone say that CLIP hardly knows the class names of a folder.

The unit is the set: all its training images, and all its names. A set is *near chance* if zero-shot
accuracy goes at most 10 % of the way from chance (1 / number of names) to 100 %. A rule calls sets
unknown whose signal is below a limit: the highest limit with which at least 85 % of the sets that
are called so are near chance. The limit is judged on sets that did not choose it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from latte_benchmarks.folder_cells import LabelledSet
from latte_selftaught.guard import MIN_LEAD
from latte_selftaught.known_names import name_agreement
from latte_selftaught.margin import relative_margin

from benchmarks.auroc import separation
from benchmarks.folder_sets import set_parser, sets_of
from benchmarks.measuring import say, table
from latte.registry.registry import load_registry
from latte.report.progress import make_progress

NEAR, FAR = 0.1, 0.3
"""Shares of the way from chance to 100 %: up to the first, names are hardly known; from the second
on, they are known."""
WANTED = 0.85
"""Least share of sets near chance, of those that a rule calls unknown."""
HALVINGS = 200


@dataclass(frozen=True)
class MeasuredSet:
    """Signals of a set, and how far zero-shot accuracy goes from chance to 100 %."""

    name: str
    names: int
    images: int
    lead: float
    agreement: float
    way: float
    """0 at chance, 1 if all images are right, below 0 if fewer are right than by chance."""


Signal = Callable[[MeasuredSet], float]
SIGNALS: Mapping[str, Signal] = {
    "lead": lambda measured_set: measured_set.lead,
    "agreement of similar images": lambda measured_set: measured_set.agreement,
    f"agreement, if the lead is below {MIN_LEAD}": lambda measured_set: (
        measured_set.agreement if measured_set.lead < MIN_LEAD else math.inf
    ),
}


def main(arguments: Sequence[str]) -> None:
    """Measure and judge. Raises `LatteError` for a mistake in arguments or files."""
    parser = set_parser("names", __doc__)
    parser.add_argument("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    loaded = sets_of(options).load(options.model, load_registry(), make_progress())
    measured_sets = sorted(map(measure, loaded), key=lambda measured_set: measured_set.lead)
    say(set_table(measured_sets), "", *judgements(measured_sets))


def measure(labelled: LabelledSet) -> MeasuredSet:
    """Return the signals of a set's training images, as the guard computes them."""
    images, texts, truth = labelled.train.features, labelled.texts, labelled.train.labels
    labels = (images @ texts.T).argmax(dim=1)
    accuracy, chance = float((labels == truth).double().mean()), 1 / len(texts)
    return MeasuredSet(
        labelled.name,
        len(texts),
        len(images),
        relative_margin(images, texts),
        name_agreement(images, texts),
        (accuracy - chance) / (1 - chance),
    )


def set_table(measured_sets: Sequence[MeasuredSet]) -> str:
    """Return a row per set."""
    head = ["set", "names", "images", "lead", "agreement", "way from chance"]
    return table(
        head,
        (
            [
                *(measured_set.name, str(measured_set.names), str(measured_set.images)),
                *(
                    f"{measured_set.lead:.2f}",
                    f"{measured_set.agreement:.2f}",
                    f"{measured_set.way:.0%}",
                ),
            ]
            for measured_set in measured_sets
        ),
    )


def judgements(measured_sets: Sequence[MeasuredSet]) -> Iterator[str]:
    """Yield a table with a row per signal and way of choosing its limit, and the AUCs."""
    total = sum(measured_set.way <= NEAR for measured_set in measured_sets)
    rows = []
    for name, signal in SIGNALS.items():
        limit = chosen_limit(measured_sets, signal)
        called = left_out(measured_sets, signal)
        near = sum(measured_set.way <= NEAR for measured_set in called)
        halves_near, halves_missed = halves(measured_sets, signal)
        rows.append(
            [
                name,
                "none" if limit is None else f"{limit:.2f}",
                share(near, len(called)),
                f"{total - near} of {total}",
                f"{halves_near:.0%}",
                f"{halves_missed:.0%}",
                f"{auc(measured_sets, signal, NEAR):.2f}",
                f"{auc(measured_sets, signal, FAR):.2f}",
            ]
        )
    head = ["signal", "limit by all sets", "near chance, of called sets (each left out)", "missed"]
    head += ["near chance (halves)", "missed (halves)", "AUC above 10 %", "AUC from 30 %"]
    yield table(head, rows)
    yield ""
    for limit in (1.0, MIN_LEAD):
        below = [measured_set for measured_set in measured_sets if measured_set.lead < limit]
        near = sum(measured_set.way <= NEAR for measured_set in below)
        yield f"A lead below {limit}: {share(near, len(below))} near chance."


def chosen_limit(measured_sets: Sequence[MeasuredSet], signal: Signal) -> float | None:
    """Return the highest limit below which at least `WANTED` of the sets are near chance, or None.

    Limits are in the middle between the signals of two sets.
    """
    ordered = sorted(
        filter(lambda measured_set: math.isfinite(signal(measured_set)), measured_sets), key=signal
    )
    limit, near = None, 0
    for count, (below, above) in enumerate(pairwise(ordered), 1):
        near += below.way <= NEAR
        if near / count >= WANTED:
            limit = (signal(below) + signal(above)) / 2
    return limit


def called_unknown(
    measured_sets: Sequence[MeasuredSet], choosing_sets: Sequence[MeasuredSet], signal: Signal
) -> list[MeasuredSet]:
    """Return the sets that are below the limit that `choosing_sets` choose."""
    limit = chosen_limit(choosing_sets, signal)
    return (
        []
        if limit is None
        else [measured_set for measured_set in measured_sets if signal(measured_set) < limit]
    )


def left_out(measured_sets: Sequence[MeasuredSet], signal: Signal) -> list[MeasuredSet]:
    """Return the sets that are below the limit that all other sets choose."""
    return [
        called
        for place, hidden_set in enumerate(measured_sets)
        for called in called_unknown(
            [hidden_set], [*measured_sets[:place], *measured_sets[place + 1 :]], signal
        )
    ]


def halves(measured_sets: Sequence[MeasuredSet], signal: Signal) -> tuple[float, float]:
    """Return the shares of sets near chance among called ones, and of missed ones.

    Each random half of the sets chooses the limit for the other half.
    """
    generator = torch.Generator().manual_seed(0)
    called, total = list[MeasuredSet](), 0
    for _ in range(HALVINGS):
        order = torch.randperm(len(measured_sets), generator=generator).tolist()
        half_sets = [[measured_sets[place] for place in order[start::2]] for start in (0, 1)]
        for judged_half, choosing_half in (half_sets, half_sets[::-1]):
            called += called_unknown(judged_half, choosing_half, signal)
            total += sum(measured_set.way <= NEAR for measured_set in judged_half)
    near = sum(measured_set.way <= NEAR for measured_set in called)
    return near / len(called) if called else math.nan, 1 - near / total if total else math.nan


def auc(measured_sets: Sequence[MeasuredSet], signal: Signal, least: float) -> float:
    """Return how well the signal separates sets that go further than `least` from the others."""
    signals = [
        torch.tensor(
            [
                signal(measured_set)
                for measured_set in measured_sets
                if (measured_set.way > least) == is_above
            ]
        )
        for is_above in (True, False)
    ]
    return separation(*signals) if all(map(len, signals)) else math.nan


def share(hits: int, total: int) -> str:
    """Return `7 of 8, 88 % (47 to 100)`, with the exact 95 % interval of a binomial share."""
    if not total:
        return "0 of 0"
    low, high = exact_interval(hits, total)
    return f"{hits} of {total}, {hits / total:.0%} ({100 * low:.0f} to {100 * high:.0f})"


def exact_interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson 1934)."""
    low = _solved(lambda chance: 1 - _at_most(hits - 1, total, chance)) if hits else 0.0
    high = 1 - _solved(lambda chance: _at_most(hits, total, 1 - chance)) if hits < total else 1.0
    return low, high


def _at_most(hits: int, total: int, chance: float) -> float:
    terms = range(hits + 1)
    return sum(math.comb(total, k) * chance**k * (1 - chance) ** (total - k) for k in terms)


def _solved(probability: Callable[[float], float]) -> float:
    """Return where a rising probability is 2.5 %, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if probability(middle) > 0.025 else (middle, high)
    return low
