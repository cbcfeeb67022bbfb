"""`latte datasets`: list, show, check and download the published datasets that recipes name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import typer

from latte.api import LatteError
from latte.api.output import echo
from latte.api.sources import is_folder
from latte_benchmarks.check import check as find_faults
from latte_benchmarks.check import usable
from latte_benchmarks.dataset import DATA_VARIABLE, default_root, missing, split_files
from latte_benchmarks.facts import SPLITS_PAGE, DatasetFacts, all_facts, find_facts

_LEVELS = {"error": "error", "warning": "note", "ok": "ok"}
_LABEL = 12
"""Width of the labels of `latte datasets show`."""

datasets = typer.Typer(
    name="datasets",
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


@datasets.callback()
def list_(context: typer.Context) -> None:
    """List the published datasets that recipes name: size, licence, presence on this machine."""
    if context.invoked_subcommand is not None:
        return
    row = "{:<14}{:>7}  {:>7}{:>8}  {:<5} {}"
    echo(row.format("name", "classes", "train", "test", "here", "licence"))
    for facts in all_facts().values():
        train, test = f"{facts.train + facts.val:,}", f"{facts.test:,}"
        echo(row.format(facts.name, facts.classes, train, test, presence(facts), facts.licence))
    echo("")
    for facts in all_facts().values():
        echo(f"{facts.name:<14}{facts.source}")
    echo("")
    if data := os.environ.get(DATA_VARIABLE):
        echo(f"here: below {DATA_VARIABLE}={data}; complete check: latte datasets check NAME")
    else:
        echo(f"{DATA_VARIABLE} is not set. Set it, or run `latte datasets get NAME --root DIR`.")
    echo("More about one: latte datasets show NAME")


@datasets.command()
def show(name: NameArgument) -> None:
    """Show a dataset's folder layout, templates, LatteCLIP's prompts for it, and how to get it."""
    facts = find_facts(name)
    echo(facts.title)
    for label, text in _rows(facts):
        _say_row(label, text)


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
    facts = find_facts(name)
    _report(facts, _folder(facts, root), split)


@datasets.command()
def get(name: NameArgument, root: RootOption = None) -> None:
    """Download a dataset, verify and unpack it, bring it into CoOp's layout, and check it.

    Archives that you put into the folder are used instead of a download. CoOp's split file must be
    fetched by hand.
    """
    from latte_benchmarks.get import get_images

    facts = find_facts(name)
    folder = _folder(facts, root)
    get_images(facts, folder)
    _report(facts, folder, None)


def presence(facts: DatasetFacts) -> str:
    """Look for a dataset on this machine; return `yes`, `no`, or `part` if files are missing.

    Returns `?` if no folder for datasets is set.
    """
    root = default_root(facts)
    if root is None:
        return "?"
    if not is_folder(root):
        return "no"
    return "part" if missing(facts, root) else "yes"


def _report(facts: DatasetFacts, root: Path, split: str | None) -> None:
    findings = find_faults(facts, root, split)
    echo(f"{facts.name} in {root}")
    for finding in findings:
        echo(f"  {_LEVELS[finding.level]:<6}{finding.what}")
        for line in finding.hint.splitlines():
            echo(f"        {line}")
    if not usable(findings):
        echo("It cannot be used like this.")
        raise typer.Exit(2)
    echo("It can be used.")


def _folder(facts: DatasetFacts, root: Path | None) -> Path:
    folder = root.expanduser().absolute() if root else default_root(facts)
    if folder is None:
        hint = f"Add --root DIR, or set {DATA_VARIABLE} to the folder that holds all datasets."
        raise LatteError(f"the folder of {facts.name} is unknown", hint=hint)
    return folder


def _rows(facts: DatasetFacts) -> Iterable[tuple[str, str]]:
    yield "name", f"{facts.name}   in a recipe: dataset: {{use: {facts.name}, root: DIR}}"
    yield "images", f"{facts.train:,} + {facts.val:,} training, {facts.test:,} test"
    yield "classes", f"{facts.classes:,}"
    yield "licence", f"{facts.licence} (the terms of its source apply)"
    yield "source", facts.source
    yield "", ""
    yield "folder", f"${DATA_VARIABLE}/{facts.folder}, or root; it holds"
    for folder in facts.needed_folders:
        yield "", f"  {folder}/"
    for file in split_files(facts, Path()):
        yield "", f"  {file.as_posix()}"
    yield "split", _split_sentence(facts)
    yield "", ""
    yield "template", ""
    for name, template in facts.templates.items():
        yield f"  {name}", template
    yield "prompts", "of LatteCLIP, for a recipe's descriptions"
    yield "  image", facts.image_prompt
    yield "  group", facts.group_prompt
    yield "", ""
    yield "to get it", _command_to_get(facts)
    if facts.by_hand:
        yield "by hand", facts.by_hand
    if facts.split:
        yield "split file", f"by hand: {SPLITS_PAGE}"


def _split_sentence(facts: DatasetFacts) -> str:
    if not facts.split:
        return "the official one; train and val are training"
    if facts.random_split:
        return "CoOp's own, drawn at random (50/20/30 % per class); not the official one"
    return "the official test images; CoOp divided the others into train and val"


def _command_to_get(facts: DatasetFacts) -> str:
    if facts.torchvision:
        return f"latte datasets get {facts.name} --root DIR"
    return f"not by a command; afterwards: latte datasets check {facts.name}"


def _say_row(label: str, text: str) -> None:
    """Print a label and its text, which is wrapped at the terminal's width or at 80 columns."""
    width = min(80, shutil.get_terminal_size((80, 24)).columns) - _LABEL - 2
    indent = len(text) - len(text.lstrip())
    lines = wrap(text.lstrip(), max(width - indent, 20), break_long_words=False) or [""]
    for line in lines:
        echo(f"{label:<{_LABEL}}  {' ' * indent}{line}".rstrip())
        label = ""
