"""Make the lists of wrongly classified and least certain images of a run, as cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latte.interfaces import ClassifiedImage, RunResults
from latte.report.numbers import count, percent, plural
from latte.report.page.gallery import thumbnail

MOST_CARDS = 60
"""Largest number of images in each of the two lists."""
_SIZE = 160
_DIGITS_OF = 100
"""Assumed sample size of a confidence, so that it is shown without a decimal."""


CardClass = tuple[str, str, str, bool]
"""A class on a card: title, name, confidence in the class (or `""`), and True if it is wrong."""


@dataclass(frozen=True)
class ImageList:
    """Images on cards, under one fold.

    Attributes:
        id: Name of the section, for links.
        kind: What an image of the list is, for texts that name it.
        note: What the fold shows beside its title.
    """

    id: str
    title: str
    note: str
    kind: str
    sentence: str
    cards: list[dict[str, Any]]


def image_lists(results: RunResults) -> list[ImageList]:
    """Return the wrongly classified and the least certain images; lists are never empty."""
    wrong = ImageList(
        "mistakes",
        "Wrong labels",
        "evaluation images that are classified wrongly",
        "Evaluation image",
        _wrong_sentence(len(results.mistakes)),
        _cards(results, results.mistakes[:MOST_CARDS]),
    )
    uncertain = ImageList(
        "uncertain",
        "More doubtful photos",
        "with their files and zero-shot labels",
        "Training image",
        _uncertain_sentence(results),
        _cards(results, results.uncertain[:MOST_CARDS]),
    )
    return [shown for shown in (wrong, uncertain) if shown.cards]


def _cards(results: RunResults, entries: Sequence[ClassifiedImage]) -> list[dict[str, Any]]:
    return [
        {
            "id": entry.image.id,
            "picture": thumbnail(entry.image, _SIZE, square=False),
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


def _wrong_sentence(number: int) -> str:
    verb = "is" if number == 1 else "are"
    shown = "" if number <= MOST_CARDS else f" The {count(MOST_CARDS)} most confident are shown."
    return (
        f"{plural(number, 'evaluation image')} {verb} classified wrongly, the most confident "
        f"first.{shown} predictions.csv has all of them."
    )


def _uncertain_sentence(results: RunResults) -> str:
    number = min(MOST_CARDS, len(results.uncertain))
    return (
        f"The {count(number)} of "
        f"{plural(results.record.data.training_images, 'training image')} with the "
        "lowest confidence, the least certain first, with their two likeliest classes. "
        "pseudo_labels.csv has the confidence of all of them."
    )
