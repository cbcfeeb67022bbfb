"""Show diagnoses as plain text, at most 80 columns wide, or as data for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import RenderableType

from latte.io.redaction import one_line
from latte.report.diagnosis.diagnosis import Diagnoses, Diagnosis, align
from latte.report.diagnosis.measures import Measure, Measurement, Section
from latte.report.numbers import ABSENT, bare_percent, plural, points
from latte.report.sentences import NO_GUARD, verdict_label
from latte.report.terminal import drawn, fitted, indented, paragraph, plain, table

_RUNS_PER_TABLE = 5
_NAME_WIDTH = 26
_VALUE_WIDTH = 8


def text(found: Diagnoses) -> str:
    """Return the diagnoses as text: one run with explanations, or several runs side by side."""
    if len(found.runs) == 1:
        lines = [*_single(found.runs[0])]
    else:
        lines = []
        for number, one in enumerate(found.runs, 1):
            first, *others = _about(one)
            lines += [*paragraph(f"run {number} is {first}"), *others]
        for start in range(0, len(found.runs), _RUNS_PER_TABLE):
            lines += _side_by_side(found.runs[start : start + _RUNS_PER_TABLE], start + 1)
        lines += ["", *paragraph("What each measure means: latte diagnose RUN, with one run.")]
    for note in notes(found):
        lines += ["", *paragraph(note)]
    return "\n".join(lines)


def as_json(found: Diagnoses) -> dict[str, Any]:
    """Return the diagnoses as JSON data: all runs and the meaning of each measure."""
    sections = [
        one for run in found.runs for one in (*run.sections, run.labelled) if one is not None
    ]
    return {
        "runs": [_run(one) for one in found.runs],
        "measures": {
            key: {name: getattr(one.measure, name) for name in ("name", "unit", "reading")}
            for section in sections
            for key, one in section.by_key.items()
        },
        "notes": notes(found),
        "skipped": [{"folder": one.where, "why": one.what} for one in found.skipped],
    }


def notes(found: Diagnoses) -> list[str]:
    """Return caveats about the diagnoses, for example that a run used true labels."""
    notes = []
    oracles = [one_line(one.run.folder.name) for one in found.runs if one.run.oracle]
    if oracles:
        notes.append(
            f"True labels of the training images were used by {', '.join(oracles)} (an oracle): "
            "their label-free measures depend on labels."
        )
    unknown = sum(one.labelled is None for one in found.runs)
    if unknown and len(found.runs) == 1:
        notes.append("There are no labelled images in this run, so its gain is not known.")
    elif unknown:
        notes.append(f"{plural(unknown, 'run')} without labelled images: no gain.")
    return notes


def value_text(measure: Measure, number: float, images: int) -> str:
    """Return a value with its unit, as `27.4 %`, `+1.2` or `0.213`."""
    if math.isnan(number):
        return ABSENT
    if measure.unit == "share":
        return f"{bare_percent(number, images)} %"
    if measure.unit == "points":
        return points(number, images)
    return f"{number:.3f}"


def _run(one: Diagnosis) -> dict[str, Any]:
    run, verdict = one.run, one.run.verdict
    return {
        "folder": str(run.folder),
        "method": run.method,
        "seed": run.seed,
        "dataset": {"name": run.data.name, "digest": run.data.digest},
        "training_images": one.training_images,
        "classes": one.classes,
        "verdict": {"outcome": verdict.outcome, **asdict(verdict)} if verdict else None,
        "values": _json_values(one.sections),
        "labelled": {"test_images": run.data.images, "values": _json_values([one.labelled])}
        if one.labelled
        else None,
    }


def _json_values(sections: Iterable[Section]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, one in ((key, one) for section in sections for key, one in section.by_key.items()):
        values[key] = {"value": _number(one.value)}
        if one.chance is not None:
            values[key]["by_chance"] = _number(one.chance)
        if one.interval is not None:
            values[key] |= {"low": one.interval.low, "high": one.interval.high}
    return values


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _about(one: Diagnosis) -> list[str]:
    images = plural(one.training_images, "training image")
    size = f"{images}, {plural(one.classes, 'class', 'classes')}"
    verdict = one.run.verdict
    judged = f"Verdict: {verdict_label(verdict)}: {one_line(verdict.reason)}." if verdict else ""
    return [
        *paragraph(f"{one_line(one.run.folder.name)}: {one_line(one.run.data.name)}, {size}"),
        *paragraph(judged or NO_GUARD),
    ]


def _heading(title: str) -> list[str]:
    name = one_line(title)
    return paragraph(name[:1].upper() + name[1:])


def _single(one: Diagnosis) -> Iterator[str]:
    yield from _about(one)
    yield from paragraph("No measure needs a label unless its section says so.")
    explained: set[str] = set()
    for section in one.sections:
        yield from ("", *_section(section, one.training_images, explained))
    if one.labelled:
        yield from ("", *_section(one.labelled, one.run.data.images, explained))


def _section(section: Section, images: int, explained: set[str]) -> Iterator[str]:
    """Yield the lines of a section, one row per measurement; each measure is explained once."""
    rows = []
    for one in section.measurements:
        reading = "" if one.measure.reading in explained else one.measure.reading
        explained.add(one.measure.reading)
        shown = plain(value_text(one.measure, one.value, images))
        detail = plain(f"{reading} {_certainty(one, images)}".strip())
        rows.append((indented(one.measure.name), shown, detail))
    made = fitted(("", "", ""), rows, right=(1,), least=(_NAME_WIDTH, _VALUE_WIDTH))
    yield from (*_heading(section.title), *drawn(made))


def _certainty(one: Measurement, images: int) -> str:
    """Return in brackets the value expected by chance or the 95 % interval; empty without both."""
    if one.chance is not None:
        return f"(by chance: {value_text(one.measure, one.chance, images)})"
    if one.interval is not None:
        ends = (one.interval.low, one.interval.high)
        low, high = (value_text(one.measure, end, images) for end in ends)
        return f"(95 % interval: {low} to {high})"
    return ""


def _side_by_side(runs: Sequence[Diagnosis], number: int) -> Iterator[str]:
    """Yield the lines of a table with a column per run; runs are numbered from `number`."""
    known = [[one.labelled] if one.labelled else [] for one in runs]
    parts = (
        (align([one.sections for one in runs]), [one.training_images for one in runs]),
        (align(known), [one.run.data.images for one in runs]),
    )
    cells: list[Sequence[RenderableType]] = []
    for rows, images in parts:
        for section, group in groupby(rows, key=lambda row: row.section):
            cells.append(("\n".join(_heading(section)),))
            for row in group:
                values = zip(row.values, images, strict=True)
                shown = (value_text(row.measure, value, size) for value, size in values)
                cells.append((indented(row.measure.name), *shown))
    headings = [f"run {number + index}" for index in range(len(runs))]
    yield from ("", *table(["measure", *headings], cells))
