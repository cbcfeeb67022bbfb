"""`latte datasets`: list, show, check and download the published datasets that recipes name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latte.cli.output import print_json, results
from latte.cli.shared import JsonOption, command_group
from latte.interfaces import LatteError
from latte.report.terminal import fitted

if TYPE_CHECKING:
    from latte.components.datasets.published.check import Finding
    from latte.components.datasets.published.facts import Facts

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
def list_(context: typer.Context, json: JsonOption = False) -> None:
    """List the published datasets that recipes name: size, licence, presence on this machine."""
    if context.invoked_subcommand is not None:
        return
    from latte.components.datasets.published.facts import all_facts

    if json:
        print_json([_plain(facts) for facts in all_facts().values()])
    else:
        print_list([*all_facts().values()])


@datasets.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show a dataset's layout, templates, the paper's prompts, and how to get it."""
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
    """List what is missing, misplaced or different from the published dataset.

    The exit code is 2 if the dataset cannot be used as it was published.
    """
    from latte.components.datasets.published.facts import find_facts

    facts = find_facts(name)
    _report(facts, _folder(facts, root), split, json=json)


@datasets.command()
def get(
    name: NameArgument,
    root: RootOption = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the archives after unpacking them.")
    ] = False,
) -> None:
    """Download a dataset, verify and unpack it, bring it into CoOp's layout, and check it.

    If CoOp's split file is missing, a stand-in is made by CoOp's rules. After an interruption
    the same command continues. Archives that you put into the folder are used instead of a
    download.
    """
    from latte.cli.progress import make_progress
    from latte.components.datasets.published.facts import find_facts
    from latte.components.datasets.published.get import get_dataset

    facts = find_facts(name)
    folder = _folder(facts, root)
    get_dataset(facts, folder, make_progress(), keep_archives=keep_archives)
    _report(facts, folder, None, json=False)


def _report(facts: Facts, root: Path, split: str | None, *, json: bool) -> None:
    """Check a dataset and print the findings; exit with code 2 if it cannot be used."""
    from latte.components.datasets.published.check import check as find_faults
    from latte.components.datasets.published.check import usable

    found = find_faults(facts, root, split)
    fine = usable(found)
    if json:
        findings = [asdict(finding) for finding in found]
        print_json({"root": str(root), "usable": fine, "findings": findings})
    else:
        print_findings(facts, root, found, fine)
    if not fine:
        raise typer.Exit(2)


def _folder(facts: Facts, root: Path | None) -> Path:
    from latte.components.datasets.published.dataset import default_root

    chosen = root.expanduser().absolute() if root else default_root(facts)
    if chosen is None:
        raise LatteError(
            f"the folder of {facts.name} is unknown",
            hint="Add --root DIR, or set LATTE_DATA to the folder that holds all datasets.",
        )
    return chosen


def _plain(facts: Facts) -> dict[str, Any]:
    from latte.components.datasets.published.dataset import default_root, missing

    root = default_root(facts)
    absent = None if root is None else missing(facts, root)
    return {**asdict(facts), "root": root and str(root), "missing": absent}


def print_list(found: Sequence[Facts]) -> None:
    """Print a row per dataset: classes, images, presence on this machine, and licence."""
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
    headers = ("name", "classes", "train", "test", "here", "licence")
    console.print(fitted(headers, rows))
    console.print()
    console.print(fitted(("", ""), [(facts.name, facts.source) for facts in found]))
    console.print()
    console.print(_where())
    console.print("More about one: latte datasets show NAME")


def presence(facts: Facts) -> str:
    """Return `yes`, `part` or `no` for a dataset on this machine; `?` if its folder is unknown.

    Only the folders and the split file are checked, not the images.
    """
    from latte.components.datasets.published.dataset import default_root, missing
    from latte.io.paths import is_folder

    root = default_root(facts)
    if root is None:
        return "?"
    if not is_folder(root):
        return "no"
    return "part" if missing(facts, root) else "yes"


def print_page(facts: Facts) -> None:
    """Print everything about one dataset."""
    console = results()
    console.print(facts.title, style="bold")
    console.print(fitted(("", ""), _rows(facts)))


def print_findings(facts: Facts, root: Path, found: Sequence[Finding], fine: bool) -> None:
    """Print the findings of a check; the last line says if the dataset can be used."""
    console = results()
    console.print(f"{facts.name} in {root}", soft_wrap=True)
    for finding in found:
        console.print(f"  {_LEVELS[finding.level]:<6}{finding.what}", soft_wrap=True)
        for line in finding.hint.splitlines():
            console.print(f"        {line}", soft_wrap=True)
    console.print("It can be used." if fine else "It cannot be used like this.")


def _where() -> str:
    from latte.components.datasets.published.dataset import DATA_VARIABLE, UNSET, what_to_set

    data = os.environ.get(DATA_VARIABLE)
    if data:
        return f"here: below {DATA_VARIABLE}={data}; complete check: latte datasets check NAME"
    return f"{UNSET}. {what_to_set('eurosat')}"


def _rows(facts: Facts) -> list[tuple[str, str]]:
    from latte.components.datasets.published.dataset import DATA_VARIABLE, split_files
    from latte.components.datasets.published.facts import SPLITS_PAGE

    needed = [f"{name}/" for name in facts.needed_folders]
    needed += [path.as_posix() for path in split_files(facts, Path())]
    return [
        ("name", f"{facts.name}   in a recipe: dataset: {{use: {facts.name}, root: DIR}}"),
        ("images", f"{facts.train:,} + {facts.val:,} training, {facts.test:,} test"),
        ("classes", f"{facts.classes:,}"),
        ("licence", f"{facts.licence} (the terms of its source apply)"),
        ("source", facts.source),
        ("", ""),
        ("folder", f"${DATA_VARIABLE}/{facts.folder}, or root; it holds"),
        *(("", f"  {name}") for name in needed),
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


def _split_in_words(facts: Facts) -> str:
    from latte.components.datasets.published.facts import RANDOM_SPLITS

    if not facts.split:
        return "the official one; train and val are training"
    if facts.made_from in RANDOM_SPLITS:
        return "CoOp's own, drawn at random (50/20/30 % per class); not the official one"
    return "the official test images; CoOp divided the others into train and val"


def how_to_get(facts: Facts) -> str:
    """Return the command that downloads the dataset, or a sentence that no command does."""
    if facts.torchvision:
        return f"latte datasets get {facts.name} --root DIR"
    return "not by a command; afterwards: latte datasets check " + facts.name
