"""A comparison as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from latte.api.output import (
    IntervalRow,
    html_page,
    interval_chart,
    one_line,
    plural,
    points,
    points_tick,
)
from latte_benchmarks.comparison import Comparison, notes
from latte_benchmarks.rows import ResultRow
from latte_benchmarks.table import cells, compared_columns, overview

HTML_START = "<!doctype html>\n<!-- Written by `latte compare`. -->"
"""First characters of each page of a comparison; the page's template has them, too."""


def as_page(comparison: Comparison, path: Path | None = None) -> str:
    """Return the comparison as an HTML page.

    Links to reports of runs are relative to `path`, the page's file; for None, there are no links.
    """
    columns = compared_columns(comparison)
    shown = overview(comparison)
    content = {
        "title": ", ".join(dict.fromkeys(row.dataset.name for row in comparison.rows)),
        "runs": plural(sum(len(row.runs) for row in comparison.adapted), "run"),
        "overview": shown if len(shown.datasets) > 1 else None,
        "headings": ["method", *columns],
        "sections": [
            {
                "title": title,
                "chart": _gain_chart(title, rows),
                "shows_seeds": any(len(row.runs) > 1 for row in rows),
                "lines": [
                    {
                        "kind": "adapted" if row.is_adapted else "control",
                        "cells": cells(row, columns),
                        "details": row.shown if row.is_adapted else (),
                        "reports": _reports(row, path) if row.is_adapted and path else (),
                    }
                    for row in rows
                ],
            }
            for title, rows in comparison.sections.items()
        ],
        "published": comparison.published is not None,
        "notes": notes(comparison),
        "skipped": comparison.skipped,
    }
    return html_page(Path(__file__).parent / "templates", None, content, "comparison.html")


def _reports(row: ResultRow, page: Path) -> list[tuple[int, str]]:
    """Return the seed and the link of each report of the row's runs that the page can link to."""
    links = [(run.seed, report_link(page, run.folder)) for run in row.runs]
    return [(seed, link) for seed, link in links if link is not None]


def report_link(page: Path, folder: Path) -> str | None:
    """Return the relative link from the file `page` to the report in the run folder `folder`.

    The result is None if there is no report below the page's folder or its parent folder.
    """
    report = folder.resolve() / "report" / "index.html"
    here = page.absolute().parent.resolve()
    above = [("../", here.parent)] if here.parent != here.parent.parent else []
    for start, place in [("./", here), *above]:
        if report.is_file() and report.is_relative_to(place):
            steps = report.relative_to(place).parts
            return start + "/".join(quote(part, safe="") for part in steps)
    return None


def _gain_chart(title: str, rows: list[ResultRow]) -> Any:
    drawn = [
        IntervalRow(
            label=row.name if row.is_adapted else one_line(row.model),
            interval=row.result.gain,
            text=points(row.result.gain.value, row.images),
            css_class="adapted" if row.is_adapted else "control",
            dots=row.result.seed_gains if len(row.result.seed_gains) > 1 else (),
        )
        for row in rows
        if row.result
    ]
    label = f"Gain over zero-shot on {title}, with 95 % intervals; the table has the same numbers"
    return interval_chart(drawn, label, points_tick, reference=0.0) if drawn else None
