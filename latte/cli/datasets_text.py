"""What `latte datasets` prints on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from latte.cli.output import plain_table, results
from latte.data.published.check import Finding, usable
from latte.data.published.facts import RANDOM_SPLITS, SPLITS_PAGE, Facts
from latte.data.published.location import DATA_VARIABLE, default_root, missing, split_files
from latte.data.sources.paths import is_folder

_MARKS = {"error": "error", "warning": "note", "ok": "ok"}


def print_list(found: Sequence[Facts]) -> None:
    """One row a dataset: classes, training and test images, whether it is here, its licence."""
    table = plain_table("name", "classes", "train", "test", "here", "licence")
    for facts in found:
        table.add_row(
            facts.name,
            str(facts.classes),
            f"{facts.train + facts.val:,}",
            f"{facts.test:,}",
            presence(facts),
            facts.licence,
        )
    console = results()
    console.print(table)
    console.print()
    for facts in found:
        console.print(f"{facts.name:<15}{facts.source}", soft_wrap=True)
    console.print()
    console.print(_where(), soft_wrap=True)
    console.print("More about one: latte datasets show NAME")


def presence(facts: Facts) -> str:
    """Whether its folder holds what it should, by folders and split file alone."""
    root = default_root(facts)
    if root is None:
        return "?"
    if not is_folder(root):
        return "no"
    return "in part" if missing(facts, root) else "yes"


def print_page(facts: Facts) -> None:
    """Everything about one dataset."""
    console = results()
    console.print(facts.title, style="bold")
    for name, value in _rows(facts):
        console.print(f"{name:<14}{value}".rstrip(), soft_wrap=True)


def print_findings(facts: Facts, root: Path, found: Sequence[Finding]) -> None:
    """What a check found, and in the last line whether the dataset can be used."""
    console = results()
    console.print(f"{facts.name} in {root}", soft_wrap=True)
    for finding in found:
        console.print(f"  {_MARKS[finding.level]:<6}{finding.what}", soft_wrap=True)
        for line in finding.hint.splitlines():
            console.print(f"        {line}", soft_wrap=True)
    console.print("It can be used." if usable([*found]) else "It cannot be used like this.")


def _where() -> str:
    data = os.environ.get(DATA_VARIABLE)
    if data:
        return f"here: below {DATA_VARIABLE}={data}; whether it is whole: latte datasets check NAME"
    return f"{DATA_VARIABLE} is not set: nothing is known of what is here."


def _rows(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("name", f"{facts.name}   in a recipe: dataset: {{use: {facts.name}, root: DIR}}"),
        ("images", f"{facts.train:,} + {facts.val:,} training, {facts.test:,} test"),
        ("classes", f"{facts.classes:,}"),
        ("licence", f"{facts.licence} (what its source says counts)"),
        ("source", facts.source),
        ("", ""),
        ("folder", f"${DATA_VARIABLE}/{facts.folder}, or root; it holds"),
        *(("", f"  {name}") for name in _layout(facts)),
        ("split", _split_in_words(facts)),
        ("", ""),
        ("template", ""),
        ("  released", facts.released),
        ("  coop", facts.coop),
        ("prompts", "of LatteCLIP, for a recipe's descriptions"),
        ("  image", facts.image_prompt),
        ("  group", facts.group_prompt),
        ("", ""),
        ("to get it", how_to_get(facts)),
        *([("by hand", facts.by_hand)] if facts.by_hand else []),
        *([("split file", f"by hand: {SPLITS_PAGE}")] if facts.split else []),
    ]


def _layout(facts: Facts) -> list[str]:
    files = [path.as_posix() for path in split_files(facts, Path())]
    return [*(f"{name}/" for name in facts.needed_folders), *files]


def _split_in_words(facts: Facts) -> str:
    if not facts.split:
        return "the official one; train and val are training"
    if facts.made_from in RANDOM_SPLITS:
        return "CoOp's own, drawn at random (50/20/30 % of a class); not the official one"
    return "the official test images; CoOp divided the others into train and val"


def how_to_get(facts: Facts) -> str:
    """The command, or that there is none."""
    if facts.torchvision:
        return f"latte datasets get {facts.name} --root DIR"
    return "not by a command; afterwards: latte datasets check " + facts.name
