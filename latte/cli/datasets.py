"""`latte datasets`: the published datasets, what they need, whether they are all there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latte.cli.subcommands import SubcommandGroup

if TYPE_CHECKING:
    from latte.data.published.facts import Facts

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
    from latte.cli import datasets_text
    from latte.cli.output import print_json
    from latte.data.published.facts import all_facts

    if json:
        print_json([_plain(facts) for facts in all_facts().values()])
    else:
        datasets_text.print_list([*all_facts().values()])


@datasets.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show layout, templates, the paper's prompts, how to get it."""
    from latte.cli import datasets_text
    from latte.cli.output import print_json
    from latte.data.published.facts import find_facts

    facts = find_facts(name)
    if json:
        print_json(_plain(facts))
    else:
        datasets_text.print_page(facts)


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
    from latte.data.published.facts import find_facts

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
    from latte.data.published.facts import find_facts
    from latte.data.published.get import get_dataset

    facts = find_facts(name)
    folder = _chosen(facts, root)
    get_dataset(facts, folder, make_progress(), keep_archives=keep_archives)
    _report(facts, folder, None, json=False)


def _report(facts: Facts, root: Path, split: str | None, *, json: bool) -> None:
    """Print what a check finds. Raises `typer.Exit` with 2 if a run cannot use it as published."""
    from dataclasses import asdict

    from latte.cli import datasets_text
    from latte.cli.output import print_json
    from latte.data.published import check as checking

    found = checking.check(facts, root, split)
    fine = checking.usable(found)
    if json:
        findings = [asdict(finding) for finding in found]
        print_json({"root": str(root), "usable": fine, "findings": findings})
    else:
        datasets_text.print_findings(facts, root, found)
    if not fine:
        raise typer.Exit(2)


def _chosen(facts: Facts, root: Path | None) -> Path:
    from latte.data.published.location import default_root
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

    from latte.data.published.location import default_root, missing

    root = default_root(facts)
    absent = None if root is None else missing(facts, root)
    return {**asdict(facts), "root": root and str(root), "missing": absent}
