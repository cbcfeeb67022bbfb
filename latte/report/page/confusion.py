"""A confusion matrix as a picture: a row for each true class, a column for each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import Confusion, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural, signed_count
from latte.report.page.classes import LISTED
from latte.report.sentences import ADAPTED, ZERO_SHOT
from latte.report.svg import Drawing, shortened, text_width

Cells = Mapping[tuple[int, int], int]
"""Images by row and column."""

_LONGEST = 19
_FAINTEST = 0.15


def heat_map(cells: Cells, names: Sequence[str], label: str) -> Markup:
    """Shades are shares of a row, so that rare classes are as visible as frequent ones."""
    size = min(30, max(14, 420 // len(names)))
    texts = [shortened(name, _LONGEST) for name in names]
    margin = 14 + round(max(map(text_width, texts)))
    side = margin + size * len(names)
    drawing = Drawing(side + 4, side + 4, label, "chart heat")
    for index, text in enumerate(texts):
        middle = margin + size * (index + 0.5)
        drawing.text((margin - 6, middle + 4), text, "tick", "end")
        drawing.text((middle + 4, margin - 6), text, "tick", turned=True)
    drawing.bar((margin, margin), side - margin, side - margin, "frame")
    totals = _row_totals(cells)
    for (row, column), images in sorted(cells.items()):
        drawing.bar(
            (margin + size * column, margin + size * row),
            size - 1,
            size - 1,
            "right" if row == column else "wrong",
            opacity=_FAINTEST + (1 - _FAINTEST) * (images / totals[row]) ** 0.5,
            tip=_tip(names[row], names[column], images, totals[row]),
        )
    return drawing.markup()


def _row_totals(cells: Cells) -> dict[int, int]:
    totals: dict[int, int] = {}
    for (row, _), images in cells.items():
        totals[row] = totals.get(row, 0) + images
    return totals


def _tip(true: str, predicted: str, images: int, total: int) -> str:
    share = percent(images / total, total)
    return f"{true} → {predicted}: {images} of {plural(total, 'image')} ({share})"


# Which classes are taken for which on the evaluation split, before and after adapting.


DRAWN = 30
"""Classes in the heat map; of more, those with most errors, and all others as one."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConfusedPair:
    """One class taken for another."""

    true: str
    predicted: str
    before: int
    after: int
    change: str
    share: str
    """Of the true class's images, after adapting."""


@dataclass(frozen=True)
class Confusions:
    """The confusions of a run, as lists and as pictures."""

    frequent: tuple[ConfusedPair, ...]
    """Most frequent after adapting."""
    changed: tuple[ConfusedPair, ...]
    """Those whose number changed most."""
    errors: tuple[int, int]
    """Images classified wrongly, zero-shot and adapted."""
    pictures: tuple[tuple[str, Markup], ...]
    """Name of the classifier and its heat map."""
    drawn: int
    """Classes that have a row of their own in it."""


def confusions(results: RunResults) -> Confusions | None:
    """None where the run has no labelled evaluation split."""
    if not {ZERO_SHOT, ADAPTED} <= results.confusions.keys():
        return None
    before, after = (_cells(results.confusions[name]) for name in (ZERO_SHOT, ADAPTED))
    names = [one_line(name) for name in results.class_names]
    pairs = _pairs(before, after, names)
    frequent = sorted(pairs, key=lambda pair: -pair.after)
    changed = sorted(pairs, key=lambda pair: -abs(pair.after - pair.before))
    order = chosen_classes(before + after, len(names))
    return Confusions(
        frequent=tuple(pair for pair in frequent[:LISTED] if pair.after),
        changed=tuple(pair for pair in changed[:LISTED] if pair.after != pair.before),
        errors=(_errors(before), _errors(after)),
        pictures=tuple(
            (name, _picture(name, cells, order, names))
            for name, cells in ((ZERO_SHOT, before), (ADAPTED, after))
        ),
        drawn=len(order),
    )


def chosen_classes(cells: Mapping[Pair, int], classes: int) -> list[int]:
    """Labels of the heat map's rows: all in label order, or the most confused, alike ones adjacent.

    Each next class is the one that is most often confused with the one before it.
    """
    if classes <= DRAWN:
        return [*range(classes)]
    wrong = {pair: images for pair, images in cells.items() if pair[0] != pair[1]}
    errors: Counter[int] = Counter()
    together: Counter[Pair] = Counter()
    for (true, predicted), images in wrong.items():
        errors.update({true: images, predicted: images})
        together.update({(true, predicted): images, (predicted, true): images})
    left = sorted(range(classes), key=lambda label: (-errors[label], label))[:DRAWN]
    order = [left.pop(0)]
    while left:
        last = order[-1]
        order.append(max(left, key=lambda label: (together[last, label], errors[label], -label)))
        left.remove(order[-1])
    return order


def _cells(rows: Iterable[Confusion]) -> Counter[Pair]:
    return Counter({(one.true, one.predicted): one.images for one in rows})


def _errors(cells: Mapping[Pair, int]) -> int:
    return sum(images for (true, predicted), images in cells.items() if true != predicted)


def _pairs(
    before: Mapping[Pair, int], after: Mapping[Pair, int], names: Sequence[str]
) -> list[ConfusedPair]:
    totals: Counter[int] = Counter()
    for (true, _), images in after.items():
        totals[true] += images
    found = sorted({pair for pair in (*before, *after) if pair[0] != pair[1]})
    return [
        ConfusedPair(
            true=names[true],
            predicted=names[predicted],
            before=was,
            after=now,
            change=signed_count(now - was),
            share=percent(now / totals[true], totals[true]),
        )
        for true, predicted in found
        for was, now in [(before.get((true, predicted), 0), after.get((true, predicted), 0))]
    ]


def _picture(
    name: str, cells: Mapping[Pair, int], order: Sequence[int], names: Sequence[str]
) -> Markup:
    rows = {label: row for row, label in enumerate(order)}
    others = len(order)
    grouped: Counter[Pair] = Counter()
    for (true, predicted), images in cells.items():
        grouped[rows.get(true, others), rows.get(predicted, others)] += images
    shown = [names[label] for label in order]
    if len(order) < len(names):
        shown.append(f"{count(len(names) - len(order))} others")
    label = f"Confusion matrix of {name}: true classes as rows, predicted ones as columns"
    return heat_map(grouped, shown, label)
