"""`latte compare`: many runs in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo

if TYPE_CHECKING:
    from latte.interfaces import LatteError
    from latte.report.comparison.comparison import Comparison


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or folders of them, such as runs/."),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published numbers to put beside: `published`, those of LatteCLIP, or a YAML file "
            "{source: TEXT, rows: {METHOD: {DATASET: TOP-1 PERCENT}}}. They come from other models "
            "and splits than yours unless you made sure that these are the same.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table as CSV too, in full.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as one HTML page too.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Put finished runs in one table; those that differ only in their seed are averaged."""
    from latte.report.comparison.comparison import compare_runs

    comparison = compare_runs(runs, against)
    print_skipped(comparison.skipped)
    _write_files(comparison, csv, html)
    if json:
        from latte.cli.output import print_json
        from latte.report.comparison.export import as_json

        print_json(as_json(comparison))
    else:
        from latte.report.comparison.terminal import table

        echo(table(comparison))


def print_skipped(skipped: Sequence[LatteError]) -> None:
    """Name on stderr what is not in the table."""
    for error in skipped:
        echo(f"skipped {error}", err=True)


def _write_files(comparison: Comparison, csv: Path | None, html: Path | None) -> None:
    if csv:
        from latte.report.comparison.export import as_csv

        _write(csv, as_csv(comparison))
    if html:
        from latte.report.comparison.page import page

        _write(html, page(comparison, html))


def _write(path: Path, text: str) -> None:
    from latte.interfaces import LatteError
    from latte.io.files import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(path)) from error
    echo(f"wrote {path}", err=True)
