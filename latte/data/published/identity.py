"""Which split it is: the published one, one made here, or that of another dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from latte.data.published.facts import Facts, all_facts
from latte.data.sources.paths import read_text
from latte.data.sources.split_file import SPLIT_NAMES, Splits, names_by_label
from latte.files import digest
from latte.interfaces import LatteError

MADE_BY = "made_by"
"""A key that latte adds to the splits it makes; CoOp's readers do not look at it."""


def split_digest(splits: Splits) -> str:
    """A digest of all that a run sees: training images, test images, their labels and names.

    The order counts not, nor which of train and val a training image is in.
    """
    lines = [
        f"{'test' if split == 'test' else 'training'}\t{entry.path}\t{entry.label}\t{entry.name}"
        for split in SPLIT_NAMES
        for entry in splits[split]
    ]
    return digest(*sorted(lines))


def maker(file: Path) -> str | None:
    """Who made this split file, if it says so. Raises `LatteError` if it cannot be read."""
    try:
        content: Any = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise LatteError(f"malformed JSON: {error}", where=str(file)) from error
    found = content.get(MADE_BY) if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def sizes(splits: Splits) -> tuple[int, int, int, int]:
    """Images of train, val and test, and classes."""
    entries = [entry for split in SPLIT_NAMES for entry in splits[split]]
    counts = [len(splits[split]) for split in SPLIT_NAMES]
    return counts[0], counts[1], counts[2], len(names_by_label(entries))


def expected_sizes(facts: Facts) -> tuple[int, int, int, int]:
    """`sizes` of the published split."""
    return facts.train, facts.val, facts.test, facts.classes


def belongs_to(splits: Splits) -> str | None:
    """The dataset whose published split has these sizes."""
    found = [one.name for one in all_facts().values() if expected_sizes(one) == sizes(splits)]
    return found[0] if found else None
