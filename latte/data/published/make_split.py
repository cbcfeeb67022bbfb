"""Makes the split that CoOp's code would make where its file is absent."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.data.published.facts import RANDOM_SPLITS, Facts, MadeFrom
from latte.data.published.identity import MADE_BY
from latte.data.published.lists import (
    Labelled,
    actions,
    cars,
    flowers,
    image_folders,
    pets,
    scenes,
)
from latte.files import write_text

SEED = 1
_SHARES = (0.5, 0.2)
_VALIDATION = 0.2

_RANDOM = (
    "Made by latte as CoOp's code does it: 50/20/30 % of each class at random, seed 1. The "
    "published split has other images in each part, so accuracies are not comparable with "
    "published ones."
)
_OFFICIAL = (
    "Made by latte from the dataset's own lists as CoOp's code does it, seed 1. Training (train + "
    "val) and test images should be the published ones; which of them are val is not."
)


@dataclass(frozen=True)
class MadeSplit:
    """A split as it is written."""

    train: Sequence[Labelled]
    val: Sequence[Labelled]
    test: Sequence[Labelled]


def make_split(facts: Facts, root: Path) -> str:
    """Write `facts.split` into `root` and say what it is.

    Raises `LatteError` where the dataset's lists or its images are missing, and for a dataset that
    needs no split file.
    """
    assert facts.made_from is not None
    generator = random.Random(SEED)
    made = _MAKERS[facts.made_from](facts, root, generator)
    what = _RANDOM if facts.made_from in RANDOM_SPLITS else _OFFICIAL
    content = {**vars(made), MADE_BY: what}
    write_text(root / facts.split, json.dumps(content, ensure_ascii=False) + "\n")
    return what


def split_at_random(images: Iterable[Labelled], generator: random.Random) -> MadeSplit:
    """Of each class half for training, a fifth for validation, the rest for testing."""
    train, val, test = [], [], []
    for members in _by_label(images):
        generator.shuffle(members)
        first = round(len(members) * _SHARES[0])
        second = first + round(len(members) * _SHARES[1])
        train += members[:first]
        val += members[first:second]
        test += members[second:]
    return MadeSplit(train, val, test)


def hold_out(
    training: Iterable[Labelled], test: Sequence[Labelled], generator: random.Random
) -> MadeSplit:
    """An official test set, and a fifth of each class of the training images for validation."""
    train, val = [], []
    for members in _by_label(training):
        generator.shuffle(members)
        count = round(len(members) * _VALIDATION)
        val += members[:count]
        train += members[count:]
    return MadeSplit(train, val, test)


def _by_label(images: Iterable[Labelled]) -> list[list[Labelled]]:
    groups: defaultdict[int, list[Labelled]] = defaultdict(list)
    for image in images:
        groups[image[1]].append(image)
    return [groups[label] for label in sorted(groups)]


def _from_all(
    read: Callable[[Facts, Path], list[Labelled]],
) -> Callable[[Facts, Path, random.Random], MadeSplit]:
    return lambda facts, root, generator: split_at_random(read(facts, root), generator)


def _from_official(
    read: Callable[[Path], tuple[list[Labelled], list[Labelled]]],
) -> Callable[[Facts, Path, random.Random], MadeSplit]:
    return lambda _, root, generator: hold_out(*read(root), generator)


_MAKERS: dict[MadeFrom, Callable[[Facts, Path, random.Random], MadeSplit]] = {
    "folders": _from_all(image_folders),
    "flowers": _from_all(flowers),
    "pets": _from_official(pets),
    "cars": _from_official(cars),
    "scenes": _from_official(scenes),
    "actions": _from_official(actions),
}
