"""A reproduced table in the terminal: dataset by dataset, then averages, then what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from latte.cli.output import WIDTH, echo, plain_table, results
from latte.compare.published import Published
from latte.compare.reproduction import (
    LEAST_TOLERANCE,
    Beside,
    Own,
    average,
    beside,
    measured,
    tolerance,
)
from latte.compare.run import Run, read_run
from latte.compare.tables import Cell, Table
from latte.compare.terminal import wrapped
from latte.report.plain import one_line

_HEADINGS = ("ours", "published", "difference", "tolerance", "")
_ABSENT = "–"


def print_table(
    table: Table, cells: Sequence[Cell], absent: Mapping[str, str], *, changed: bool
) -> None:
    """Every number that was measured, beside the published one where there is one."""
    numbers = {(cell.dataset, cell.row): _own(cell) for cell in cells}
    echo(one_line(table.settings.title))
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        rows = [
            beside(row, dataset, own, table.published)
            for (name, row), own in numbers.items()
            if name == dataset and own
        ]
        _print_rows(_title(dataset, cells), rows, judged=not changed)
    averages = [
        found for row in table.settings.rows if (found := _average(row, numbers, table.published))
    ]
    if len({dataset for dataset, _ in numbers}) > 1:
        _print_rows("average over these datasets", averages, judged=not changed)
    shown = [*dict.fromkeys(dataset for dataset, _ in numbers)]
    for note in _notes(table.published, shown, absent, changed=changed):
        echo("\n" + "\n".join(wrapped(one_line(note), WIDTH)))


def _own(cell: Cell) -> Own | None:
    return measured([read_run(run.folder.path) for run in cell.runs if run.finished])


def _average(
    row: str, numbers: Mapping[tuple[str, str], Own | None], published: Published
) -> Beside | None:
    own = [(dataset, one) for (dataset, name), one in numbers.items() if name == row]
    complete = [(dataset, one) for dataset, one in own if one]
    return average(row, complete, published) if len(complete) == len(own) else None


def _title(dataset: str, cells: Sequence[Cell]) -> str:
    run = next((one for one in _finished(cells) if one.data.name == dataset), None)
    return f"{dataset}, {run.data.images:,} test images" if run else dataset


def _finished(cells: Sequence[Cell]) -> list[Run]:
    return [read_run(run.folder.path) for cell in cells for run in cell.runs if run.finished]


def _print_rows(title: str, rows: Sequence[Beside], *, judged: bool) -> None:
    console = results()
    console.print()
    console.print(Text(title, style="bold"))
    table = plain_table("", *_HEADINGS)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(Text, (*_cells(row), (row.verdict or "") if judged else "")))
    console.print(table)


def _cells(row: Beside) -> tuple[str, ...]:
    if row.published is None or row.difference is None:
        return (f"  {row.row}", _number(row.own), _ABSENT, "", "")
    return (
        f"  {row.row}",
        _number(row.own),
        f"{100 * row.published:.2f}",
        f"{100 * row.difference:+.2f}",
        f"{100 * row.tolerance:.1f}",
    )


def _number(own: Own) -> str:
    reach = "" if own.reach is None else f" ± {100 * own.reach:.2f}"
    return f"{100 * own.mean:.2f}{reach}"


def _notes(
    published: Published, datasets: Sequence[str], absent: Mapping[str, str], *, changed: bool
) -> list[str]:
    wide = [
        f"{name} {100 * found:.1f}"
        for name in datasets
        if (found := tolerance(name, published)) > LEAST_TOLERANCE
    ]
    left_out = "; ".join(f"{name} ({reason})" for name, reason in absent.items())
    notes = [f"Left out: {left_out}."] if absent else []
    if changed:
        notes.append(
            "These runs were changed by --limit, --with or --set: they are not the published ones, "
            "differences say nothing, and nothing is judged."
        )
    return [
        *notes,
        "Top-1 in percent. ours: the mean over seeds with its 95 % t-interval; one seed has none.",
        "agrees: the difference is at most the tolerance; unclear: it is more, but by less than "
        "the interval over our seeds, so that more seeds would tell; differs: by more than that. "
        "Spreads are not published, so the tolerance is a guess from the published numbers: "
        f"{100 * LEAST_TOLERANCE:.0f} point, or twice the standard deviation of the method's "
        f"published variants on the dataset where that is more ({', '.join(wide) or 'nowhere'}). "
        "For averages, errors of datasets count as independent.",
        f"Published: {published.source}. {published.note}",
    ]
