"""Confusions on the evaluation split, before and after adapting, as lists and heat maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural, signed_count
from latte.report.page.classes import LISTED
from latte.report.svg import Drawing, shortened, text_width

_MODELS = ("zero-shot", "adapted")
DRAWN = 30
"""Largest number of classes in a heat map; further classes form one group."""
_LONGEST_NAME = 19
_FAINTEST = 0.15

ClassPair = tuple[int, int]
"""True class and predicted class, as labels or as rows of a heat map."""


def confusions(results: RunResults) -> dict[str, Any] | None:
    """Return the confusions of a run; None if there is no labelled evaluation split.

    `pictures` has a tuple per classifier: its name, its heat map, and the kinds of cells that occur
    in the heat map (`right`, `wrong`).
    `drawn` is the number of classes with their own row in the heat maps.
    """
    if not {*_MODELS} <= results.confusions.keys():
        return None
    zero_shot, adapted = (
        Counter(
            {
                (confusion.true, confusion.predicted): confusion.images
                for confusion in results.confusions[name]
            }
        )
        for name in _MODELS
    )
    names = [one_line(name) for name in results.record.data.class_names]
    pairs = _pairs(zero_shot, adapted, names)
    frequent = sorted(pairs, key=lambda pair: -pair["after"])
    changed = sorted(pairs, key=lambda pair: -abs(pair["after"] - pair["before"]))
    order = chosen_classes(zero_shot + adapted, len(names))
    return {
        "frequent": [pair for pair in frequent[:LISTED] if pair["after"]],
        "changed": [pair for pair in changed[:LISTED] if pair["after"] != pair["before"]],
        "errors": [sum(pair[key] for pair in pairs) for key in ("before", "after")],
        "pictures": [
            (name, _picture(name, cells, order, names), sorted({*map(_kind, cells)}))
            for name, cells in zip(_MODELS, (zero_shot, adapted), strict=True)
        ],
        "drawn": len(order),
    }


def chosen_classes(cells: Mapping[ClassPair, int], classes: int) -> list[int]:
    """Return the classes of a heat map's rows: all, or the `DRAWN` classes with the most errors.

    If some are left out, classes that are often confused with each other have adjacent rows.
    """
    if classes <= DRAWN:
        return [*range(classes)]
    wrong = {pair: images for pair, images in cells.items() if pair[0] != pair[1]}
    errors: Counter[int] = Counter()
    together: Counter[ClassPair] = Counter()
    for (true, predicted), images in wrong.items():
        errors.update({true: images, predicted: images})
        together.update({(true, predicted): images, (predicted, true): images})
    left = sorted(range(classes), key=lambda label: (-errors[label], label))[:DRAWN]
    order = [left.pop(0)]
    while left:
        previous = order[-1]
        order.append(
            max(left, key=lambda label: (together[previous, label], errors[label], -label))
        )
        left.remove(order[-1])
    return order


def heat_map(cells: Mapping[ClassPair, int], names: Sequence[str], label: str) -> Markup:
    """Draw the numbers of images by true class (row) and predicted class (column).

    The shade of a cell shows its share of the row, so that rare classes are visible too.
    """
    size = min(30, max(14, 420 // len(names)))
    texts = [shortened(name, _LONGEST_NAME) for name in names]
    margin = 14 + round(max(map(text_width, texts)))
    side = margin + size * len(names)
    drawing = Drawing(side + 4, side + 4, label, "chart heat", fixed=True)
    for index, text in enumerate(texts):
        middle = margin + size * (index + 0.5)
        drawing.text((margin - 6, middle + 4), text, "tick", "end")
        drawing.text((middle + 4, margin - 6), text, "tick", turned=True)
    drawing.bar((margin, margin), side - margin, side - margin, "frame")
    totals = _images_by_class(cells)
    for (row, column), images in sorted(cells.items()):
        drawing.bar(
            (margin + size * column, margin + size * row),
            size - 1,
            size - 1,
            _kind((row, column)),
            opacity=_FAINTEST + (1 - _FAINTEST) * (images / totals[row]) ** 0.5,
            tip=f"{names[row]} → {names[column]}: {images} of {plural(totals[row], 'image')} "
            f"({percent(images / totals[row], totals[row])})",
        )
    return drawing.markup()


def _pairs(
    zero_shot: Mapping[ClassPair, int], adapted: Mapping[ClassPair, int], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how often each error (true, predicted class) occurs before and after adapting."""
    totals = _images_by_class(adapted)
    mistakes = sorted({pair for pair in (*zero_shot, *adapted) if pair[0] != pair[1]})
    return [
        {
            "true": names[true],
            "predicted": names[predicted],
            "before": old,
            "after": new,
            "change": signed_count(new - old),
            "share": percent(new / totals[true], totals[true]),
        }
        for true, predicted in mistakes
        for old, new in [(zero_shot.get((true, predicted), 0), adapted.get((true, predicted), 0))]
    ]


def _picture(
    name: str, cells: Mapping[ClassPair, int], order: Sequence[int], names: Sequence[str]
) -> Markup:
    rows = {label: row for row, label in enumerate(order)}
    group = len(order)
    grouped: Counter[ClassPair] = Counter()
    for (true, predicted), images in cells.items():
        grouped[rows.get(true, group), rows.get(predicted, group)] += images
    shown = [names[label] for label in order]
    if len(order) < len(names):
        shown.append(f"{count(len(names) - len(order))} others")
    label = f"Confusion matrix of {name}: true classes as rows, predicted ones as columns"
    return heat_map(grouped, shown, label)


def _kind(pair: ClassPair) -> str:
    return "right" if pair[0] == pair[1] else "wrong"


def _images_by_class(cells: Mapping[ClassPair, int]) -> Counter[int]:
    totals: Counter[int] = Counter()
    for (true, _), images in cells.items():
        totals[true] += images
    return totals
