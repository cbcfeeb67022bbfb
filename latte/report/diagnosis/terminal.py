"""Show diagnoses as plain text, at most 80 columns wide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType

from latte.evaluate.rank_correlation import FEWEST, Correlation
from latte.io.redaction import one_line
from latte.report.diagnosis.diagnosis import Aligned, Diagnoses, Diagnosis, align, verdict_line
from latte.report.diagnosis.export import notes
from latte.report.diagnosis.labelled import Labelled
from latte.report.diagnosis.measures import Measure, Measurement, Section
from latte.report.numbers import ABSENT, bare_percent, plural, points, rho, rho_by_chance
from latte.report.terminal import drawn, fitted, indented, paragraph, plain, table

_RUNS_PER_TABLE = 5
_NAME_WIDTH = 26
_VALUE_WIDTH = 8


def text(found: Diagnoses) -> str:
    """Return the text of one run, with all measures explained, or of several runs side by side.

    Notes follow at the end.
    """
    single = found.runs[0] if len(found.runs) == 1 else None
    lines = [*(_single(single) if single else _several(found))]
    for note in [*notes(found), *([_sources(single)] if single else [])]:
        lines += ["", *paragraph(note)]
    return "\n".join(lines)


def value_text(measure: Measure, number: float, images: int) -> str:
    """Return a value with its unit, as `27.4 %`, `+1.2`, `0.213` or `12`.

    The number of images decides the digits of percentages.
    """
    if math.isnan(number):
        return ABSENT
    if measure.unit == "share":
        return f"{bare_percent(number, images)} %"
    if measure.unit == "points":
        return points(number, images)
    if measure.unit == "count":
        return f"{number:.0f}" if number.is_integer() else f"{number:.1f}"
    return f"{number:.3f}"


def _about(one: Diagnosis) -> list[str]:
    images, classes = plural(one.training_images, "training image"), len(one.class_names)
    size = f"{images}, {plural(classes, 'class', 'classes')}"
    return [
        *paragraph(f"{one_line(one.run.folder.name)}: {one_line(one.run.data.name)}, {size}"),
        *paragraph(verdict_line(one.verdict)),
    ]


def _heading(title: str) -> list[str]:
    name = one_line(title)
    return paragraph(name[:1].upper() + name[1:])


def _single(one: Diagnosis) -> Iterator[str]:
    yield from _about(one)
    yield from paragraph("No measure needs a label unless its section says so.")
    explained: set[tuple[str, str]] = set()
    for section in one.sections:
        yield from ("", *_section(section, one.training_images, explained))
    if one.labelled:
        yield from ("", *_section(one.labelled.section, one.labelled.test_images, explained))
        yield from ("", *_classes(one.labelled))


def _section(section: Section, images: int, explained: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines of a section, a measurement per row.

    Measures in `explained` are not explained again; new ones are added to it.
    """
    rows = []
    for one in section.measurements:
        meaning = (one.measure.name, one.measure.reading)
        reading = "" if meaning in explained else one.measure.reading
        explained.add(meaning)
        shown = plain(value_text(one.measure, one.value, images))
        detail = plain(f"{reading} {_certainty(one, images)}".strip())
        rows.append((indented(one.measure.name), shown, detail))
    made = fitted(("", "", ""), rows, right=(1,), least=(_NAME_WIDTH, _VALUE_WIDTH))
    yield from (*_heading(section.title), *drawn(made))


def _certainty(one: Measurement, images: int) -> str:
    """Return the value expected by chance, or the interval, in brackets; empty without both."""
    if one.chance is not None:
        return f"(by chance: {value_text(one.measure, one.chance, images)})"
    if one.interval is not None:
        ends = (one.interval.low, one.interval.high)
        low, high = (value_text(one.measure, end, images) for end in ends)
        return f"(95 % interval: {low} to {high})"
    return ""


def _classes(known: Labelled) -> Iterator[str]:
    yield from _heading("classes: correlation with their gain in recall (needs labels)")
    rows = [(indented(one.measure.name), *_correlation(one.correlation)) for one in known.relations]
    yield from table(("measure", "rho (95 % interval)", "by chance", "classes"), rows)


def _correlation(found: Correlation) -> tuple[str, str, str]:
    return rho(found), rho_by_chance(found), str(found.pairs)


def _sources(one: Diagnosis) -> str:
    measures = [found.measure for section in one.all_sections for found in section.measurements]
    sources = {measure.name: measure.source for measure in measures if measure.source}
    return f"Sources. {'. '.join(f'{name}: {source}' for name, source in sources.items())}."


def _several(found: Diagnoses) -> Iterator[str]:
    for number, one in enumerate(found.runs, 1):
        first, *others = _about(one)
        yield from (*paragraph(f"run {number} is {first}"), *others)
    for start in range(0, len(found.runs), _RUNS_PER_TABLE):
        yield from _side_by_side(found.runs[start : start + _RUNS_PER_TABLE], start + 1)
    if any(one.correlation.pairs >= FEWEST for one in found.relations):
        yield from _relations(found)
    yield from (
        "",
        *paragraph("What each measure means: latte diagnose RUN, with one run."),
    )


def _side_by_side(runs: Sequence[Diagnosis], number: int) -> Iterator[str]:
    """Yield the lines of a table with a column per run; runs are numbered from `number`."""
    free = _values(align([one.sections for one in runs]), [one.training_images for one in runs])
    known = [[one.labelled.section] if one.labelled else [] for one in runs]
    tested = [one.labelled.test_images if one.labelled else 0 for one in runs]
    rows = [*free, *_values(align(known), tested)]
    headings = [f"run {number + index}" for index in range(len(runs))]
    yield from ("", *_by_section(headings, rows))


def _values(
    rows: Sequence[Aligned], images: Sequence[int]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for row in rows:
        values = zip(row.values, images, strict=True)
        shown = tuple(value_text(row.measure, value, number) for value, number in values)
        yield row.section, row.measure.name, shown


def _relations(found: Diagnoses) -> Iterator[str]:
    images = max(one.training_images for one in found.runs)
    rows = [
        (
            one.section,
            one.measure.name,
            (
                value_text(one.measure, one.lowest, images),
                value_text(one.measure, one.highest, images),
                *_correlation(one.correlation),
            ),
        )
        for one in found.relations
    ]
    yield from ("", *_heading("correlation with the gain over these runs (needs labels)"))
    yield from _by_section(["lowest", "highest", "rho", "by chance", "runs"], rows)


def _by_section(
    headings: Sequence[str], rows: Sequence[tuple[str, str, tuple[str, ...]]]
) -> list[str]:
    """Return the lines of a table of rows (section, name, values), with a title per section.

    `headings` are the columns' headings.
    """
    cells: list[Sequence[RenderableType]] = []
    for section, group in groupby(rows, key=lambda row: row[0]):
        cells.append(("\n".join(_heading(section)),))
        cells += [(indented(name), *values) for _, name, values in group]
    return table(["measure", *headings], cells)
