"""Lines of text in columns, at most 80 wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from latte.evaluate.rank_correlation import FEWEST
from latte.io.redaction import one_line
from latte.report.comparison.terminal import WIDTH, wrapped
from latte.report.diagnosis import cells
from latte.report.diagnosis.diagnosis import Diagnosis, verdict_line
from latte.report.diagnosis.export import notes
from latte.report.diagnosis.labelled import Labelled
from latte.report.diagnosis.measure import Section
from latte.report.diagnosis.several import Aligned, Diagnoses, align
from latte.report.numbers import NARROW_SPACE, plural

NAME = 24
GAP = "  "


def heading(title: str) -> str:
    """`title` on one line, as the head of a section."""
    text = one_line(title)
    return fitted(text[:1].upper() + text[1:], WIDTH).rstrip()


def paragraph(text: str) -> list[str]:
    """`text` in lines, all but the first indented."""
    return wrapped(text.replace(NARROW_SPACE, " "), WIDTH)


def explained(name: str, value: str, reading: str) -> Iterator[str]:
    """Name and value on the first line, the reading beside and below them."""
    first = f"{GAP}{fitted(name, NAME)}{GAP}{value:>8}{GAP}"
    lines = textwrap.wrap(reading, WIDTH - cell_len(first)) or [""]
    yield (first + lines[0]).rstrip()
    yield from (" " * cell_len(first) + line for line in lines[1:])


def columns(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Names with cells, each column as wide as its widest cell, and names as wide as fits."""
    widths = [max(map(cell_len, column)) for column in zip(*(row[1] for row in rows), strict=True)]
    room = WIDTH - len(GAP) - sum(width + len(GAP) for width in widths)
    name_width = min(room, max(cell_len(one_line(name)) for name, _ in rows))
    return [
        GAP.join(
            [
                GAP + fitted(name, name_width),
                *(
                    " " * (width - cell_len(cell)) + cell
                    for cell, width in zip(shown, widths, strict=True)
                ),
            ]
        ).rstrip()
        for name, shown in rows
    ]


def fitted(text: str, width: int) -> str:
    """`text` on one line of just `width` terminal columns, cut or filled up."""
    plain = one_line(text)
    if cell_len(plain) <= width:
        return set_cell_size(plain, width)
    return set_cell_size(set_cell_size(plain, width - 3).rstrip() + "...", width)


# Diagnoses as plain text that fits a terminal of 80 columns.


_RUNS_A_TABLE = 5


def text(found: Diagnoses) -> str:
    """One run with how to read each measure, or several side by side; then the notes."""
    lines = [*(_single(found.runs[0]) if len(found.runs) == 1 else _several(found))]
    for note in notes(found):
        lines += ["", *paragraph(note)]
    if len(found.runs) == 1:
        lines += ["", *paragraph(_sources(found.runs[0]))]
    return "\n".join(lines)


def _about(one: Diagnosis) -> str:
    images, classes = one.training_images, len(one.class_names)
    return (
        f"{one_line(one.run.folder.name)}: {one_line(one.run.data.name)}, "
        f"{plural(images, 'training image')}, {classes} class{'' if classes == 1 else 'es'}"
    )


def _single(one: Diagnosis) -> Iterator[str]:
    yield from paragraph(_about(one))
    yield from paragraph(verdict_line(one.verdict))
    yield "No measure needs a label unless its section says so."
    explained_before: set[tuple[str, str]] = set()
    for section in one.sections:
        yield from ("", *_section(section, one.training_images, explained_before))
    if one.labelled:
        images = one.labelled.test_images
        yield from ("", *_section(one.labelled.section, images, explained_before))
        yield from ("", *_classes(one.labelled))


def _sources(one: Diagnosis) -> str:
    measures = [found.measure for section in one.all_sections for found in section.measurements]
    sources = {measure.name: measure.source for measure in measures if measure.source}
    return f"Sources. {'. '.join(f'{name}: {source}' for name, source in sources.items())}."


def _section(
    section: Section, images: int, explained_before: set[tuple[str, str]]
) -> Iterator[str]:
    """A line or more a measurement; what has been explained is not explained again."""
    yield heading(section.title)
    for one in section.measurements:
        meaning = (one.measure.name, one.measure.reading)
        reading = "" if meaning in explained_before else one.measure.reading
        explained_before.add(meaning)
        value = cells.value(one.measure, one.value, images)
        yield from explained(
            one.measure.name, value, f"{reading} {cells.certainty(one, images)}".strip()
        )


def _classes(known: Labelled) -> Iterator[str]:
    yield heading("classes: what goes with their gain in recall (needs labels)")
    rows = [
        (
            one.measure.name,
            (
                cells.rho(one.correlation),
                cells.rho_by_chance(one.correlation),
                str(one.correlation.pairs),
            ),
        )
        for one in known.relations
    ]
    yield from columns([("measure", ("rho (95 % interval)", "by chance", "classes")), *rows])


def _several(found: Diagnoses) -> Iterator[str]:
    """A legend, the measures of all runs, and their relation to the gain where there is one."""
    for number, one in enumerate(found.runs, 1):
        yield from paragraph(f"run {number} is {_about(one)}")
        yield from paragraph(verdict_line(one.verdict))
    for first in range(0, len(found.runs), _RUNS_A_TABLE):
        yield from _side_by_side(found.runs[first : first + _RUNS_A_TABLE], first + 1)
    if any(one.correlation.pairs >= FEWEST for one in found.relations):
        yield from _relations(found)
    yield from ("", *paragraph("What each measure means: latte diagnose RUN, with one run."))


def _side_by_side(runs: Sequence[Diagnosis], number: int) -> Iterator[str]:
    """A few runs, numbered from `number`."""
    images = [one.training_images for one in runs]
    tested = [one.labelled.test_images if one.labelled else 0 for one in runs]
    rows = [*_cells(align([one.sections for one in runs]), images)]
    known = [[one.labelled.section] if one.labelled else [] for one in runs]
    rows += _cells(align(known), tested)
    yield ""
    yield from _grouped([f"run {number + index}" for index in range(len(runs))], rows)


def _cells(
    rows: Sequence[Aligned], images: Sequence[int]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for row in rows:
        values = zip(row.values, images, strict=True)
        shown = tuple(cells.value(row.measure, value, count) for value, count in values)
        yield row.section, row.measure.name, shown


def _relations(found: Diagnoses) -> Iterator[str]:
    images = max(one.training_images for one in found.runs)
    rows = [
        (
            one.section,
            one.measure.name,
            (
                cells.value(one.measure, one.lowest, images),
                cells.value(one.measure, one.highest, images),
                cells.rho(one.correlation),
                cells.rho_by_chance(one.correlation),
                str(one.correlation.pairs),
            ),
        )
        for one in found.relations
    ]
    yield from ("", heading("what goes with the gain over these runs (needs labels)"))
    yield from _grouped(["lowest", "highest", "rho", "by chance", "runs"], rows)


def _grouped(
    headings: Sequence[str], rows: Sequence[tuple[str, str, tuple[str, ...]]]
) -> Iterator[str]:
    """Rows of section, name and cells below `headings`, with a line where a section begins."""
    lines = columns([("measure", headings), *((name, shown) for _, name, shown in rows)])
    yield lines[0]
    last = ""
    for (section, _, _), line in zip(rows, lines[1:], strict=True):
        if section != last:
            yield heading(section)
        last = section
        yield line
