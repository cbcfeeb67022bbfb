"""Write the comparison of methods: HTML page, Markdown, CSV, LaTeX and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from latte.api.output import IntervalRow, html_page, interval_chart, points_tick
from latte_benchmarks.field_rows import ANSWERS_PER_CLASS, CELLS, COLUMNS, FieldRow
from latte_benchmarks.field_summary import Gains, MethodSummary, zero_shot_accuracies
from latte_benchmarks.table import escape

HEADINGS = (
    "method",
    "mean",
    "worst",
    "lose",
    *CELLS.values(),
    "unseen",
    f"{ANSWERS_PER_CLASS} answers, own",
    f"{ANSWERS_PER_CLASS} answers, unseen",
    "seconds",
    "MiB",
)
DEFAULT = "latte-adapt"
"""Name of latte's default in the table of methods."""
HTML_START = "<!doctype html>\n<!-- Written by `latte field`. -->"
"""First characters of the page; its template has them, too."""
_STYLE = (
    "<style>text{font:12px sans-serif}.tick{fill:#666}.value{font-weight:bold}"
    ".grid{stroke:#ddd}.reference{stroke:#333;stroke-dasharray:4 3}"
    ".whisker{stroke-width:2.5;stroke:#888}.dot{fill:#888}"
    ".whisker.adapted{stroke:#0b57a4}.dot.adapted{fill:#0b57a4}</style>"
)


@dataclass(frozen=True)
class Field:
    """The rows of a comparison, their summary, and where they come from."""

    rows: tuple[FieldRow, ...]
    lines: tuple[MethodSummary, ...]
    model: str
    draws: int

    @property
    def sets(self) -> list[str]:
        """Names of the sets."""
        return [*dict.fromkeys(row.set for row in self.rows)]

    def _rivals(self) -> Iterator[str]:
        """Yield the best method that is not latte's for each kind of folder, beside the default."""
        default = next((line for line in self.lines if line.about.name == DEFAULT), None)
        rivals = [line for line in self.lines if not line.about.name.startswith("latte")]
        for place, title in enumerate(CELLS.values()):
            gains_of_rivals = [(line, gains) for line in rivals if (gains := line.cells[place])]
            default_gains = default and default.cells[place]
            if gains_of_rivals and default_gains:
                best, gains = max(gains_of_rivals, key=lambda pair: pair[1].mean)
                yield f"{title}, {best.about.title} {_gains(gains)} against {_gains(default_gains)}"

    def notes(self) -> Iterator[str]:
        """Yield what a reader must know about the numbers."""
        folders = len({(row.set, row.cell, row.draw) for row in self.rows})
        yield (
            f"{folders} folders from {len(self.sets)} sets ({', '.join(self.sets)}), {self.draws} "
            f"of each kind from each set, features of the CLIP {self.model}."
        )
        accuracies = zero_shot_accuracies(self.rows)
        shown = ", ".join(f"{CELLS[cell]} {value:.1f}" for cell, value in accuracies.items())
        yield f"Accuracy of zero-shot CLIP on the folders' own images, in percent: {shown}."
        yield (
            "Entries are gains over zero-shot CLIP on the folder's own images in percentage "
            "points: the mean; in brackets the worst folder, and the percentage of folders that "
            "lose more than a point and at least two images. The first three columns are over all "
            "kinds of folders; mean is the mean of the kinds."
        )
        yield (
            "Balanced: all names occur equally often. Few names: a fifth of them occur. Long tail: "
            "the largest class has 50 times the images of the smallest. Foreign images: three in "
            "ten show none of the names, and are not counted."
        )
        yield (
            "Unseen: gains on other images of the set after a balanced folder, by the method's "
            "linear classifier, or by nearest class means if it has none. Answers: a person gave "
            f"the classes of {ANSWERS_PER_CLASS} random images per class of a balanced folder; the "
            "gain is that on its other images. A dash: the method takes no answers."
        )
        if rivals := [*self._rivals()]:
            yield f"The best rival of latte's default by kind of folder: {'; '.join(rivals)}."
        yield (
            "Seconds are the median of balanced folders, from cached features of images and texts; "
            "MiB is the largest additional memory."
        )


def cells_of(line: MethodSummary) -> list[str]:
    """Return the texts of a line, in the order of `HEADINGS`."""
    taught = line.taught or (None, None)
    return [
        line.about.title,
        *(signed(value) for value in (line.overall.mean, line.overall.worst)),
        f"{100 * line.overall.losing:.0f} %",
        *map(_gains, line.cells),
        *(signed(value) for value in (line.unseen, *taught)),
        f"{line.seconds:.2f}",
        "–" if line.mebibytes is None else f"{line.mebibytes:.0f}",
    ]


def signed(value: float | None) -> str:
    """Return points with a sign and one decimal."""
    return "–" if value is None else f"{value:+.1f}".replace("-", "−").replace("−0.0", "+0.0")


def _gains(gains: Gains | None) -> str:
    if gains is None:
        return "–"
    return f"{signed(gains.mean)} ({signed(gains.worst)}, {100 * gains.losing:.0f} %)"


def as_markdown(field: Field) -> str:
    """Return the tables as Markdown, without a title."""
    table = [_markdown_row(HEADINGS), _markdown_row(["---"] * len(HEADINGS))]
    table += [_markdown_row(cells_of(line)) for line in field.lines]
    about = [_markdown_row(_ABOUT), _markdown_row(["---"] * len(_ABOUT))]
    about += [_markdown_row(_about(line)) for line in field.lines]
    sections = ["\n".join(table), *field.notes(), "\n".join(about)]
    return "\n\n".join(sections) + "\n"


_ABOUT = ("method", "what it may see", "who chose its constants", "published gain", "gain here")


def _about(line: MethodSummary) -> list[str]:
    about = line.about
    balanced = line.cells[0]
    published = "–" if about.published is None else signed(about.published)
    where = f" ({about.published_on})" if about.published_on else ""
    return [
        about.title,
        about.sees,
        about.constants,
        f"{published}{where}",
        "–" if balanced is None else signed(balanced.mean),
    ]


def _markdown_row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def as_csv(rows: Sequence[FieldRow]) -> str:
    """Return all rows as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        numbers = {name: _rounded(value) for name, value in asdict(row).items()}
        writer.writerow(numbers)
    return file.getvalue()


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def as_latex(field: Field) -> str:
    """Return a LaTeX table for the package booktabs; the highest mean of a column is bold."""
    headings = ["method", "mean", "worst", *CELLS.values(), "unseen", "seconds"]
    values = [
        [
            line.overall.mean,
            line.overall.worst,
            *(None if cell is None else cell.mean for cell in line.cells),
            line.unseen,
        ]
        for line in field.lines
    ]
    best = [
        max((v for v in column if v is not None), default=None)
        for column in zip(*values, strict=True)
    ]
    lines = [r"% Written by `latte field`; it needs \usepackage{booktabs}. Points over zero-shot."]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}", r"\toprule"]
    lines += [" & ".join(map(escape, headings)) + r" \\", r"\midrule"]
    for line, numbers in zip(field.lines, values, strict=True):
        cells = [
            rf"\textbf{{{escape(signed(number))}}}"
            if number is not None and number == highest
            else escape(signed(number))
            for number, highest in zip(numbers, best, strict=True)
        ]
        cells = [escape(line.about.title), *cells, f"{line.seconds:.2f}"]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_figure(field: Field) -> str:
    """Return the chart as an SVG file that needs no page."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    chart = str(_chart(field)).replace("<svg ", head, 1)
    start = chart.index(">") + 1
    return f"{chart[:start]}{_STYLE}{chart[start:]}\n"


def as_page(field: Field) -> str:
    """Return one HTML page, whose tables can be sorted by their headings."""
    content = {
        "sets": len(field.sets),
        "methods": len(field.lines),
        "headings": HEADINGS,
        "lines": [cells_of(line) for line in field.lines],
        "about_headings": _ABOUT,
        "about": [_about(line) for line in field.lines],
        "chart": _chart(field),
        "notes": [*field.notes()],
    }
    return html_page(Path(__file__).parent / "templates", "sort.js", content, "field.html")


def _chart(field: Field) -> str:
    drawn = [
        IntervalRow(
            label=line.about.title,
            interval=line.interval,
            text=signed(line.overall.mean),
            css_class="adapted" if line.about.name.startswith("latte") else "control",
        )
        for line in field.lines
    ]
    label = "Mean gain over zero-shot CLIP, with 95 % intervals over sets"
    return interval_chart(drawn, label, points_tick, reference=0.0)
