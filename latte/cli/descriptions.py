"""What `latte descriptions` prints: at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from latte.cli.main import SubcommandGroup
from latte.cli.output import echo, plain_table, results
from latte.describe.inventory import Holding, StoreStatistics
from latte.describe.store import StoredText
from latte.interfaces import LatteError

if TYPE_CHECKING:
    from latte.describe.store import StoredText


def print_holdings(found: Sequence[Holding]) -> None:
    """A table for each describer, one row a prompt."""
    console = results()
    describers = list(dict.fromkeys(one.describer for one in found))
    for number, describer in enumerate(describers):
        console.print(
            Text(f"{chr(10) if number else ''}{describer or 'unknown describer'}", "bold")
        )
        table = plain_table("texts", "refused", "failed", "newest", "prompt")
        for column in table.columns[:3]:
            column.justify = "right"
        for one in found:
            if one.describer == describer:
                counts = (f"{count:,}" for count in (one.texts, one.refused, one.failed))
                day = datetime.fromtimestamp(one.newest).strftime("%Y-%m-%d")
                table.add_row(*map(Text, (*counts, day, one.prompt)))
        console.print(table)


def print_texts(records: Sequence[StoredText], key: str) -> None:
    """Each record about the image `key` as a paragraph."""
    console = results()
    for number, record in enumerate(records):
        if number:
            console.print()
        console.print(Text(_shown(record.images, key) + record.prompt, "bold"))
        if record.text is not None:
            console.print(Text(record.text))
        else:
            what = "refused" if record.refused else "failed"
            console.print(Text(f"({what}: {record.failure or 'no reason given'})"))
        sample = f", sample {record.sample}" if record.sample else ""
        console.print(Text(f"by {record.describer or 'unknown describer'}{sample}", "dim"))


def print_statistics(folder: Path, found: StoreStatistics) -> None:
    """One line a number."""
    table = plain_table("", "")
    table.show_header = False
    rows = {
        "folder": str(folder),
        "texts": f"{found.texts:,}",
        "refused": f"{found.refused:,}",
        "failed": f"{found.failed:,}",
        "words a text": _words(found),
        "duplicates": "-" if found.duplicate_share is None else f"{found.duplicate_share:.1%}",
        "on disk": f"{_size(found.bytes)} in {found.files:,} files",
        "torn last lines": f"{found.torn_lines:,}",
        "unreadable lines": f"{found.unreadable_lines:,}",
    }
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    results().print(table)


def _shown(images: Sequence[str], key: str) -> str:
    if len(images) == 1:
        return ""
    return f"[image {images.index(key) + 1} of a group of {len(images)}] "


def _words(found: StoreStatistics) -> str:
    if found.mean_words is None:
        return "-"
    mean, middle, most = found.mean_words, found.median_words, found.max_words
    return f"mean {mean:.1f}, median {middle:g}, at most {most:,}"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


# `latte descriptions`: what is in the description store, and taking it elsewhere.


descriptions = typer.Typer(
    name="descriptions",
    cls=SubcommandGroup,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="The cache folder, if not the one runs use."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DescriberOption = Annotated[
    str | None,
    typer.Option("--describer", metavar="TEXT", help="Only describers whose name contains it."),
]
PromptOption = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEXT", help="Only prompts that contain it."),
]


@descriptions.callback()
def overview(context: typer.Context) -> None:
    """List, show, export and import the texts that describers wrote."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


@descriptions.command("ls")
def list_(cache: CacheOption = None, json: JsonOption = False) -> None:
    """List describers and prompts, with how many texts there are of each."""
    from dataclasses import asdict

    from latte.cli.output import print_json
    from latte.describe.inventory import Archive, holdings

    archive = Archive(store_folder(cache))
    found = holdings(archive)
    if json:
        print_json([asdict(one) for one in found])
    elif found:
        print_holdings(found)
    else:
        echo(f"no descriptions in {archive.folder}")


@descriptions.command()
def show(
    image: Annotated[Path, typer.Argument(help="An image file; its content counts, not its name.")],
    cache: CacheOption = None,
    json: JsonOption = False,
) -> None:
    """Show every text about an image, alone or in a group."""
    from latte.cli.output import print_json
    from latte.describe.inventory import Archive
    from latte.io.files import digest

    try:
        key = digest(image.read_bytes())
    except OSError as error:
        what = f"the image cannot be read: {error.strerror or error}"
        raise LatteError(what, where=str(image)) from error
    texts = Archive(store_folder(cache)).texts()
    found = [one.record for one in texts if key in one.record.images]
    if json:
        print_json([vars(record) for record in found])
    elif found:
        print_texts(found, key)
    else:
        raise LatteError(
            f"no describer was asked about this image (content hash {key})",
            where=str(image),
            hint="have the images of a recipe described: latte describe RECIPE",
        )


@descriptions.command()
def stats(cache: CacheOption = None, json: JsonOption = False) -> None:
    """Show how many and how long the texts are, how often they repeat, and what is damaged."""
    from dataclasses import asdict

    from latte.cli.output import print_json
    from latte.describe.inventory import Archive, statistics

    archive = Archive(store_folder(cache))
    found = statistics(archive)
    if json:
        print_json({"folder": str(archive.folder), **asdict(found)})
    else:
        print_statistics(archive.folder, found)


@descriptions.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write.")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="jsonl|parquet",
            help="Parquet needs pyarrow.  [default: parquet for *.parquet, else jsonl]",
        ),
    ] = None,
    describer: DescriberOption = None,
    prompt: PromptOption = None,
    cache: CacheOption = None,
) -> None:
    """Write texts and refusals to a file that another machine can import."""
    from latte.describe.import_export import export_texts, find_format
    from latte.describe.inventory import Archive

    chosen = find_format(format_, file)

    def wanted(record: StoredText) -> bool:
        return (describer or "") in record.describer and (prompt or "") in record.prompt

    done = export_texts(Archive(store_folder(cache)), file, chosen, wanted)
    left_out = f", {done.left_out:,} left out as damaged" if done.left_out else ""
    echo(f"{done.texts:,} texts and {done.refused:,} refusals in {file}{left_out}")


@descriptions.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="What `latte descriptions export` wrote."),
    ],
    cache: CacheOption = None,
) -> None:
    """Add the texts of exported files; a file with a mistake adds nothing.

    Texts that are there stay. Everything is checked first, and each mistake is named with its line.
    """
    from latte.describe.import_export import import_texts

    done = import_texts(store_folder(cache, must_exist=False), files)
    failed = f", {done.failed:,} without an answer left out" if done.failed else ""
    echo(f"{done.new:,} new ({done.refused:,} of them refusals), {done.kept:,} were there{failed}")


def store_folder(cache: Path | None, *, must_exist: bool = True) -> Path:
    """Where runs that use the folder `cache` keep their texts; None: this user's."""
    from latte.run.workspace import description_folder

    return description_folder(cache, must_exist=must_exist)
