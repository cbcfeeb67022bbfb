"""`latte datasets`: list, show, check and download the published datasets that recipes name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import results
from latte.cli.progress import make_progress
from latte.cli.shared import command_group
from latte.components.datasets.published import dataset
from latte.components.datasets.published import facts as published
from latte.interfaces import LatteError
from latte.io.paths import is_folder
from latte.report.terminal import fitted

_LEVELS = {"error": "error", "warning": "note", "ok": "ok"}

datasets = command_group("datasets")

NameArgument = Annotated[str, typer.Argument(help="A dataset's name, as recipes write it.")]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="The dataset's folder.  [default: CoOp's below $LATTE_DATA]"
    ),
]


@datasets.callback()
def list_(context: typer.Context) -> None:
    """List the published datasets that recipes name: size, licence, presence on this machine."""
    if context.invoked_subcommand is not None:
        return
    found = published.all_facts().values()
    rows = [
        (
            facts.name,
            str(facts.classes),
            f"{facts.train + facts.val:,}",
            f"{facts.test:,}",
            presence(facts),
            facts.licence,
        )
        for facts in found
    ]
    console = results()
    console.print(fitted(("name", "classes", "train", "test", "here", "licence"), rows))
    console.print()
    console.print(fitted(("", ""), [(facts.name, facts.source) for facts in found]))
    console.print()
    if data := os.environ.get(dataset.DATA_VARIABLE):
        place = f"here: below {dataset.DATA_VARIABLE}={data}"
        console.print(f"{place}; complete check: latte datasets check NAME")
    else:
        console.print(f"{dataset.UNSET}. {dataset.what_to_set('eurosat')}")
    console.print("More about one: latte datasets show NAME")


@datasets.command()
def show(name: NameArgument) -> None:
    """Show a dataset's folder layout, templates, LatteCLIP's prompts for it, and how to get it."""
    facts = published.find_facts(name)
    console = results()
    console.print(facts.title, style="bold")
    console.print(fitted(("", ""), _rows(facts)))


@datasets.command()
def check(
    name: NameArgument,
    root: RootOption = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="FILE", help="A split file in root, if not CoOp's."),
    ] = None,
) -> None:
    """List what is missing, misplaced or changed in your copy of a published dataset.

    The exit code is 2 if the dataset cannot be used as it was published.
    """
    facts = published.find_facts(name)
    _report(facts, _folder(facts, root), split)


@datasets.command()
def get(name: NameArgument, root: RootOption = None) -> None:
    """Download a dataset, verify and unpack it, bring it into CoOp's layout, and check it.

    If CoOp's split file is missing, latte makes a split by CoOp's rules instead. After an
    interruption the same command continues. Archives that you put into the folder are used instead
    of a download.
    """
    from latte.components.datasets.published.get import get_dataset

    facts = published.find_facts(name)
    folder = _folder(facts, root)
    get_dataset(facts, folder, make_progress())
    _report(facts, folder, None)


def _report(facts: published.Facts, root: Path, split: str | None) -> None:
    from latte.components.datasets.published.check import check as find_faults
    from latte.components.datasets.published.check import usable

    found = find_faults(facts, root, split)
    console = results()
    console.print(f"{facts.name} in {root}", soft_wrap=True)
    for finding in found:
        console.print(f"  {_LEVELS[finding.level]:<6}{finding.what}", soft_wrap=True)
        for line in finding.hint.splitlines():
            console.print(f"        {line}", soft_wrap=True)
    if not usable(found):
        console.print("It cannot be used like this.")
        raise typer.Exit(2)
    console.print("It can be used.")


def _folder(facts: published.Facts, root: Path | None) -> Path:
    chosen = root.expanduser().absolute() if root else dataset.default_root(facts)
    if chosen is None:
        hint = "Add --root DIR, or set LATTE_DATA to the folder that holds all datasets."
        raise LatteError(f"the folder of {facts.name} is unknown", hint=hint)
    return chosen


def presence(facts: published.Facts) -> str:
    """Look for a dataset on this machine; return `yes`, `no`, or `part` if files are missing.

    Returns `?` if no folder for datasets is set.
    """
    root = dataset.default_root(facts)
    if root is None:
        return "?"
    if not is_folder(root):
        return "no"
    return "part" if dataset.missing(facts, root) else "yes"


def _rows(facts: published.Facts) -> list[tuple[str, str]]:
    split = "the official test images; CoOp divided the others into train and val"
    if not facts.split:
        split = "the official one; train and val are training"
    elif facts.made_from in published.RANDOM_SPLITS:
        split = "CoOp's own, drawn at random (50/20/30 % per class); not the official one"
    to_get = f"latte datasets get {facts.name} --root DIR"
    if not facts.torchvision:
        to_get = f"not by a command; afterwards: latte datasets check {facts.name}"
    needed = [f"{name}/" for name in facts.needed_folders]
    needed += [path.as_posix() for path in dataset.split_files(facts, Path())]
    return [
        ("name", f"{facts.name}   in a recipe: dataset: {{use: {facts.name}, root: DIR}}"),
        ("images", f"{facts.train:,} + {facts.val:,} training, {facts.test:,} test"),
        ("classes", f"{facts.classes:,}"),
        ("licence", f"{facts.licence} (the terms of its source apply)"),
        ("source", facts.source),
        ("", ""),
        ("folder", f"${dataset.DATA_VARIABLE}/{facts.folder}, or root; it holds"),
        *(("", f"  {name}") for name in needed),
        ("split", split),
        ("", ""),
        ("template", ""),
        *((f"  {name}", template) for name, template in facts.templates.items()),
        ("prompts", "of LatteCLIP, for a recipe's descriptions"),
        ("  image", facts.image_prompt),
        ("  group", facts.group_prompt),
        ("", ""),
        ("to get it", to_get),
        *([("by hand", facts.by_hand)] if facts.by_hand else []),
        *([("split file", f"by hand: {published.SPLITS_PAGE}")] if facts.split else []),
    ]
