"""What `latte datasets` prints on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latte.cli.main import SubcommandGroup
from latte.cli.output import plain_table, results
from latte.components.datasets.published.check import Finding, usable
from latte.components.datasets.published.facts import RANDOM_SPLITS, SPLITS_PAGE, Facts
from latte.components.datasets.published.location import (
    DATA_VARIABLE,
    default_root,
    missing,
    split_files,
)
from latte.io.paths import is_folder

if TYPE_CHECKING:
    from latte.components.datasets.published.facts import Facts

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
    return "part" if missing(facts, root) else "yes"


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
        *((f"  {name}", template) for name, template in facts.templates.items()),
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


# `latte datasets`: the published datasets, what they need, whether they are all there.


datasets = typer.Typer(
    name="datasets",
    cls=SubcommandGroup,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NameArgument = Annotated[str, typer.Argument(help="A dataset's name, as recipes write it.")]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="The dataset's folder.  [default: CoOp's below $LATTE_DATA]"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@datasets.callback()
def list_(context: typer.Context, json: JsonOption = False) -> None:
    """List the published datasets that recipes name: size, licence, whether they are here."""
    if context.invoked_subcommand is not None:
        return
    from latte.cli.output import print_json
    from latte.components.datasets.published.facts import all_facts

    if json:
        print_json([_plain(facts) for facts in all_facts().values()])
    else:
        print_list([*all_facts().values()])


@datasets.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show layout, templates, the paper's prompts, how to get it."""
    from latte.cli.output import print_json
    from latte.components.datasets.published.facts import find_facts

    facts = find_facts(name)
    if json:
        print_json(_plain(facts))
    else:
        print_page(facts)


@datasets.command()
def check(
    name: NameArgument,
    root: RootOption = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="FILE", help="A split file in root, if not CoOp's."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what is missing, misplaced or not as published.

    The exit code is 2 if the dataset cannot be used as it was published.
    """
    from latte.components.datasets.published.facts import find_facts

    facts = find_facts(name)
    _report(facts, _chosen(facts, root), split, json=json)


@datasets.command()
def get(
    name: NameArgument,
    root: RootOption = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the archives after unpacking them.")
    ] = False,
) -> None:
    """Download, verify, unpack, bring into CoOp's layout; check.

    Where CoOp's split file is absent, one is made by its rules, and called a stand-in. Run it
    again after a cut: it goes on where it stopped. Archives that you put into the folder yourself
    are taken instead of a download.
    """
    from latte.cli.progress import make_progress
    from latte.components.datasets.published.facts import find_facts
    from latte.components.datasets.published.get import get_dataset

    facts = find_facts(name)
    folder = _chosen(facts, root)
    get_dataset(facts, folder, make_progress(), keep_archives=keep_archives)
    _report(facts, folder, None, json=False)


def _report(facts: Facts, root: Path, split: str | None, *, json: bool) -> None:
    """Print what a check finds. Raises `typer.Exit` with 2 if a run cannot use it as published."""
    from dataclasses import asdict

    from latte.cli.output import print_json
    from latte.components.datasets.published.check import check as find_faults
    from latte.components.datasets.published.check import usable

    found = find_faults(facts, root, split)
    fine = usable(found)
    if json:
        findings = [asdict(finding) for finding in found]
        print_json({"root": str(root), "usable": fine, "findings": findings})
    else:
        print_findings(facts, root, found)
    if not fine:
        raise typer.Exit(2)


def _chosen(facts: Facts, root: Path | None) -> Path:
    from latte.components.datasets.published.location import default_root
    from latte.interfaces import LatteError

    chosen = root.expanduser().absolute() if root else default_root(facts)
    if chosen is None:
        raise LatteError(
            f"where {facts.name} lies is not said",
            hint="Add --root DIR, or set LATTE_DATA to the folder that holds all datasets.",
        )
    return chosen


def _plain(facts: Facts) -> dict[str, Any]:
    from dataclasses import asdict

    from latte.components.datasets.published.location import default_root, missing

    root = default_root(facts)
    absent = None if root is None else missing(facts, root)
    return {**asdict(facts), "root": root and str(root), "missing": absent}
