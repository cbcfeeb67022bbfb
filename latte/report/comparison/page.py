"""Show a comparison as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from latte.io.redaction import one_line, printable
from latte.report import numbers
from latte.report.charts import IntervalRow, interval_chart, points_tick
from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.rows import Row
from latte.report.comparison.table import Line, headings, table_lines
from latte.report.html import html_page

_TEMPLATES = Path(__file__).parent / "templates"


def page(comparison: Comparison, path: Path | None = None) -> str:
    """Return the comparison as an HTML page.

    Links to reports of runs are relative to `path`, the page's file; for None, there are no links.
    """
    content = {
        "title": page_title(comparison.rows),
        "runs": numbers.plural(sum(len(row.seeds) for row in comparison.rows), "run"),
        "overview": overview(comparison.rows),
        "sections": [
            _section(title, digest, comparison, path)
            for digest, title in dataset_titles(comparison.rows).items()
        ],
        "headings": headings(comparison),
        "shows_published": comparison.published is not None,
        "notes": notes(comparison),
        "skipped": comparison.skipped,
    }
    return html_page(_TEMPLATES, None, content)


def page_title(rows: Sequence[Row]) -> str:
    """Return the datasets and the models of a comparison, as in `eurosat, dtd: ViT-B-32`."""
    datasets = dict.fromkeys(one_line(row.data.name) for row in rows)
    found = (run.settings.get("backbone.model") for row in rows for run in row.runs)
    models = dict.fromkeys(one_line(str(model)) for model in found if model)
    return ": ".join(", ".join(names) for names in (datasets, models) if names)


def overview(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return a table of methods by datasets; None if fewer than two datasets have labels."""
    found = {(row.name, row.data.digest): (row, row.adapted) for row in rows if row.adapted}
    titles = dataset_titles([row for row, _ in found.values()])
    if len(titles) < 2:
        return None
    best = {
        digest: max(one.top1.mean for (_, on), (_, one) in found.items() if on == digest)
        for digest in titles
    }
    cells = {
        key: {
            "top1": numbers.mean_percent(result.top1, row.data.images),
            "gain": numbers.points(result.gain.value, row.data.images),
            "best": result.top1.mean >= best[row.data.digest],
        }
        for key, (row, result) in found.items()
    }
    return {
        "datasets": [*titles.values()],
        "rows": [
            (one_line(name), [cells.get((name, digest)) for digest in titles])
            for name in dict.fromkeys(name for name, _ in found)
        ],
    }


def report_link(page: Path, folder: Path) -> str | None:
    """Return the relative link from the file `page` to the report in the run folder `folder`.

    The result is None if there is no report below the page's folder or its parent folder.
    """
    report = folder.resolve() / "report" / "index.html"
    here = page.absolute().parent.resolve()
    above = [("../", here.parent)] if here.parent != here.parent.parent else []
    for start, place in [("./", here), *above]:
        if report.is_file() and report.is_relative_to(place):
            parts = report.relative_to(place).parts
            return start + "/".join(quote(part, safe="") for part in parts)
    return None


def _section(title: str, digest: str, comparison: Comparison, path: Path | None) -> dict[str, Any]:
    rows = [row for row in comparison.rows if row.data.digest == digest]
    return {
        "title": title,
        "lines": [_line(line, path) for line in table_lines(comparison, digest)],
        "chart": _gain_chart(title, rows),
        "shows_seeds": any(_seed_gains(row) for row in rows),
    }


def _line(line: Line, path: Path | None) -> dict[str, Any]:
    """Return a line of the table; a row's line has links to the reports of its seeds."""
    row, is_row = line.row, line.kind == "adapted"
    return {
        "kind": line.kind,
        "name": one_line(line.name),
        "details": line.details,
        "settings": row.labels if is_row and row.left_out else (),
        "reports": [
            (seed, link)
            for seed, folder in zip(row.seeds, row.folders, strict=True)
            if is_row and path and (link := report_link(path, folder))
        ],
        "numbers": line.numbers,
    }


def _gain_chart(title: str, rows: Sequence[Row]) -> Markup | None:
    drawn = [
        IntervalRow(printable(name), result.gain, gain, css_class, dots)
        for row in rows
        if row.adapted
        for name, result, css_class, dots in (
            (row.name, row.adapted, "adapted", _seed_gains(row)),
            *((name, one, "control", ()) for name, one in row.others.items()),
        )
        for gain in [numbers.points(result.gain.value, row.data.images)]
    ]
    label = f"Gain over zero-shot on {title}, with 95 % intervals; the table has the same numbers"
    return interval_chart(drawn, printable(label), points_tick, reference=0.0) if drawn else None


def _seed_gains(row: Row) -> tuple[float, ...]:
    """Return the gain of each seed; empty for a single seed."""
    gains = tuple(run.adapted.gain.value for run in row.runs if run.adapted)
    return gains if len(gains) > 1 else ()
