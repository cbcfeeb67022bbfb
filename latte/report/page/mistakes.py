"""Show wrongly classified and least certain images of a run as one HTML page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latte.interfaces import ClassifiedImage, RunResults
from latte.report.accuracy import measured_models
from latte.report.html import html_page
from latte.report.numbers import count, percent, plural
from latte.report.page.gallery import thumbnail

_TEMPLATES = Path(__file__).parent / "templates"
_DIGITS_OF = 100
"""Assumed sample size of a confidence, so that it is shown without a decimal."""


CardClass = tuple[str, str, str, bool]
"""A class on a card: title, name, confidence in the class (or `""`), and True if it is wrong."""


def mistakes_page(results: RunResults, *, images: int = 60, thumbnail_size: int = 160) -> str:
    """Return wrongly classified and least certain images of a run as an HTML page.

    Args:
        results: the results of a run, which reporters receive.
        images: largest number of images in each of the two lists.
        thumbnail_size: length of the longer side of a thumbnail in pixels.

    Example:
        from latte.api import mistakes_page, write_text

        def report(self, results):
            path = results.folder / "report" / "mistakes.html"
            write_text(path, mistakes_page(results, images=20))
            return [path]
    """
    content = {
        "name": results.record.name,
        "title": "Mistakes" if measured_models(results.record).models else "Doubtful images",
        "mistakes": _cards(results, results.mistakes[:images], thumbnail_size),
        "mistakes_sentence": _mistakes_sentence(results, images),
        "uncertain": _cards(results, results.uncertain[:images], thumbnail_size),
        "uncertain_sentence": _uncertain_sentence(results, images),
        "review": _review_command(results, results.uncertain[:images]),
    }
    return html_page(_TEMPLATES, None, content, "mistakes.html")


def _review_command(results: RunResults, entries: Sequence[ClassifiedImage]) -> str:
    """Return the command that looks through the images of the class that most entries have."""
    common = Counter(entry.labels[0] for entry in entries).most_common(1)
    names = [results.record.data.class_names[label] for label, _ in common]
    options = [word for name in names for word in ("--class", name)]
    return shlex.join(["latte", "review", results.folder.name, *options])


def _cards(
    results: RunResults, entries: Sequence[ClassifiedImage], size: int
) -> list[dict[str, Any]]:
    return [
        {
            "id": entry.image.id,
            "picture": thumbnail(entry.image, size, square=False),
            "facts": _facts(entry, results.record.data.class_names),
        }
        for entry in entries
    ]


def _facts(entry: ClassifiedImage, names: Sequence[str]) -> list[CardClass]:
    """Return the most probable classes, the zero-shot class and, if known, the true class."""
    is_labelled = entry.true_label is not None
    facts = [] if entry.true_label is None else [("True", names[entry.true_label], "", False)]
    titles = ("Predicted", "Second")
    for title, label, confidence in zip(titles, entry.labels, entry.confidences, strict=False):
        shown = percent(confidence, _DIGITS_OF)
        facts.append((title, names[label], shown, is_labelled and title == "Predicted"))
    wrong = is_labelled and entry.zero_shot_label != entry.true_label
    return [*facts, ("Zero-shot", names[entry.zero_shot_label], "", wrong)]


def _mistakes_sentence(results: RunResults, images: int) -> str | None:
    """Return a sentence on the wrongly classified images; None without labelled images."""
    if not measured_models(results.record).models:
        return None
    if not results.mistakes:
        return "Every evaluation image is classified correctly."
    number = len(results.mistakes)
    verb = "is" if number == 1 else "are"
    shown = "" if number <= images else f" The {count(images)} most confident are shown."
    return (
        f"{plural(number, 'evaluation image')} {verb} classified wrongly, the most confident "
        f"first.{shown} predictions.csv has all of them."
    )


def _uncertain_sentence(results: RunResults, images: int) -> str:
    number = min(images, len(results.uncertain))
    return (
        f"The {count(number)} of "
        f"{plural(results.record.data.training_images, 'training image')} with the "
        "lowest confidence, the least certain first, with their two likeliest classes. "
        "pseudo_labels.csv has the confidence of all of them."
    )
