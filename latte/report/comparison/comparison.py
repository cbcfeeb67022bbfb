"""A comparison of finished runs: its rows, and the notes that explain them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from latte.interfaces import LatteError
from latte.io.redaction import one_line
from latte.recipe.oracle import ORACLE_STATEMENT
from latte.recipe.shipped import find_table
from latte.report.comparison.published import Published, match, read_published
from latte.report.comparison.rows import ORACLE, Row, make_rows
from latte.report.evidence import read_evidence
from latte.report.numbers import count, mean_percent, plural
from latte.report.verdict import verdict_label
from latte.results.summary import read_runs
from latte.review.sentences import Evidence


@dataclass(frozen=True)
class Comparison:
    """Table rows of finished runs, published numbers, skipped folders and measured gains."""

    rows: tuple[Row, ...]
    published: Published | None
    skipped: tuple[LatteError, ...]
    evidence: Mapping[Path, Evidence]
    """The gain that a person's answers measured, by run folder."""

    @cached_property
    def has_verdicts(self) -> bool:
        """True if any run had a guard; every row then shows a verdict."""
        return any(run.verdict for row in self.rows for run in row.runs)

    def details(self, row: Row) -> tuple[str, ...]:
        """Return the settings that distinguish `row`, and its verdict if any run had a guard."""
        return (*row.distinguishing, *([row.verdict] if self.has_verdicts else []))


def compare_runs(paths: Sequence[Path], against: Path | None = None) -> Comparison:
    """Compare the finished runs in `paths`.

    Args:
        paths: run folders, or folders of run folders.
        against: a file of published numbers, or `published` for the file that latte ships.

    Raises:
        LatteError: no run is usable, a file of answers is damaged, or `against` has mistakes.
    """
    published = read_published(find_table(against)) if against else None
    runs, skipped = read_runs(paths)
    rows, repeated = make_rows(runs)
    if published:
        matches = [(row, match(row, published)) for row in rows]
        rows = [replace(row, published=one[1]) if one else row for row, one in matches]
    folders = (folder for row in rows for folder in row.folders)
    evidence = {folder: found for folder in folders if (found := read_evidence(folder))}
    return Comparison(tuple(rows), published, (*skipped, *repeated), evidence)


def dataset_titles(rows: Sequence[Row]) -> dict[str, str]:
    """Map the digest of each set of evaluation images to a title: `eurosat, 8,100 images`."""
    plain = {}
    for row in rows:
        images = row.data.images
        size = plural(images, "image") if images else "no labelled images"
        plain[row.data.digest] = f"{one_line(row.data.name)}, {size}"
    named = [*plain.values()]
    return {
        digest: f"{title} ({digest[:6]})" if named.count(title) > 1 else title
        for digest, title in plain.items()
    }


def row_titles(rows: Sequence[Row]) -> list[str]:
    """Return a title per row: the recipe's name, or the folder's name if recipe names repeat."""
    shared = Counter((row.method, row.data.digest) for row in rows)
    folders = run_names([row.folders[0] for row in rows])
    return [
        one_line(folder if row.method in folder else f"{row.method} {folder}")
        if shared[row.method, row.data.digest] > 1 and len(row.folders) == 1
        else one_line(row.method)
        for row, folder in zip(rows, folders, strict=True)
    ]


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return the name of each run folder, as `PARENT/NAME` if several names are equal."""
    paths = [one.absolute() for one in folders]
    names = [one.name for one in paths]
    return [
        f"{one.parent.name}/{one.name}" if names.count(one.name) > 1 else one.name for one in paths
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return sentences that explain a comparison, for example the meaning of its intervals."""
    rows, found = comparison.rows, list[str]()
    if any(row.has_oracle for row in rows):
        found.append(f"Marked {ORACLE}: {ORACLE_STATEMENT}")
    if most := max((row.left_out for row in rows), default=0):
        found.append(
            f"Rows show the settings that tell them apart. {count(most)} more settings differ; "
            "they are in the page (--html FILE), the CSV and the JSON."
        )
    for row in rows:
        if row.own:
            found.append(
                f"{one_line(row.name)}: {count(row.own_images)} test images are also training "
                "images. The labels that the run gave them, together with all training images, "
                f"have top-1 {mean_percent(row.own.top1, row.own_images)} %, gain over zero-shot "
                f"{row.own.gain_text(row.own_images)}. The table shows the classifier "
                f"without these labels, on {count(row.data.images)} images."
            )
    found += _on_intervals(rows)
    digests: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        digests.setdefault((row.method, row.data.name), set()).add(row.data.digest)
    if any(len(several) > 1 for several in digests.values()):
        found.append(
            "Runs on different evaluation images are kept apart, never averaged. (--limit draws "
            "its images from the seed.)"
        )
    found += _on_published(comparison)
    if not comparison.has_verdicts:
        found.append("guard: none. These recipes have no guard that could keep zero-shot CLIP.")
    if any(row.candidate for row in rows):
        found.append("Candidate: the adapted model, if the guard did not accept it in full.")
    return [*found, *_on_evidence(comparison)]


def _on_evidence(comparison: Comparison) -> Iterator[str]:
    evidence = comparison.evidence
    folders = [folder for row in comparison.rows for folder in row.folders]
    names = dict(zip(folders, map(one_line, run_names(folders)), strict=True))
    for row in comparison.rows:
        for run in row.runs:
            if found := evidence.get(run.folder):
                verdict = verdict_label(run.verdict)
                yield f"{names[run.folder]}: {verdict}. {one_line(found.sentence)}"
    yield from (found.unknown for found in evidence.values() if found.unknown)
    if evidence:
        yield "Gains after answers are about the runs' own training images."


def _on_intervals(rows: Sequence[Row]) -> Iterator[str]:
    results = [one for row in rows if row.adapted for one in (row.adapted, *row.others.values())]
    if any(result.top1.runs > 1 for result in results):
        yield "Several seeds: mean ± sample standard deviation of top-1."
    if results:
        yield (
            "The 95 % interval of a gain covers other images of the same kind and, with several "
            "seeds, other seeds."
        )


def _on_published(comparison: Comparison) -> Iterator[str]:
    published = comparison.published
    if published is None:
        return
    yield (
        f"Published: {one_line(published.source)}. Published numbers are comparable only if model, "
        "split and prompts are the same."
    )
    if published.note:
        yield one_line(published.note)
    used = {one[0] for row in comparison.rows if (one := match(row, published))}
    if others := [method for method in published.rows if method not in used]:
        yield f"Published, without a run here: {', '.join(map(one_line, others))}."
