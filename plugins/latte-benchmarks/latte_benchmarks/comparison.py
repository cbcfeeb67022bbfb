"""A comparison of finished runs: its rows, its averages, and the notes that explain them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from latte.api import LatteError, did_you_mean
from latte.api.output import one_line, plural
from latte.api.runs import ORACLE_STATEMENT, read_evidence
from latte_benchmarks.measured import ADAPTED, IN_FULL, ORACLE, OWN_IMAGES, MeasuredRun, read_runs
from latte_benchmarks.published import Published, average_rows, beside
from latte_benchmarks.rows import ResultRow, make_rows, uses_oracle

ORACLE_NOTE = f"Marked {ORACLE}: {ORACLE_STATEMENT}"


@dataclass(frozen=True)
class Comparison:
    """Rows of finished runs, published numbers, and errors of folders that were skipped."""

    rows: tuple[ResultRow, ...]
    published: Published | None = None
    skipped: tuple[LatteError, ...] = ()

    @cached_property
    def averages(self) -> tuple[ResultRow, ...]:
        """Averages over datasets, a row per method that was measured on every dataset."""
        return tuple(average_rows(self.rows, self.published))

    @cached_property
    def adapted(self) -> list[ResultRow]:
        """The rows of the models that the runs use."""
        return [row for row in self.rows if row.is_adapted]

    @cached_property
    def sections(self) -> dict[str, list[ResultRow]]:
        """The rows by title of their dataset, such as `eurosat, 8,100 images`."""
        datasets = dict.fromkeys(row.dataset for row in self.rows)
        plain = []
        for dataset in datasets:
            size = plural(dataset.images, "image") if dataset.images else "no labelled images"
            plain.append(f"{one_line(dataset.name)}, {size}")
        return {
            f"{title} ({dataset.digest[:6]})" if plain.count(title) > 1 else title: [
                row for row in self.rows if row.dataset == dataset
            ]
            for dataset, title in zip(datasets, plain, strict=True)
        }

    def renamed(self, names: Mapping[str, str]) -> Comparison:
        """Return the comparison with other names of methods and datasets.

        Raises `LatteError` for a name that is in no row.
        """
        names_of_rows = {
            name for row in self.rows for name in (row.name, row.method, row.dataset.name)
        }
        for name in names:
            if name not in names_of_rows:
                every_name = ", ".join(sorted(names_of_rows))
                hint = f"{did_you_mean(name, names_of_rows)} Names: {every_name}".lstrip()
                what = f'no row and no dataset is called "{name}"'
                raise LatteError(what, where="--names", hint=hint)
        return replace(self, rows=tuple(_renamed(row, names) for row in self.rows))


def _renamed(row: ResultRow, names: Mapping[str, str]) -> ResultRow:
    dataset = replace(row.dataset, name=names.get(row.dataset.name, row.dataset.name))
    if row.name in names:
        return replace(row, dataset=dataset, method=names[row.name], shown=())
    return replace(row, dataset=dataset, method=names.get(row.method, row.method))


def compare_folders(paths: Iterable[Path], published: Published | None = None) -> Comparison:
    """Compare the finished runs in `paths`: run folders, or folders of run folders.

    Raises `LatteError` if no run is usable.
    """
    runs, skipped = read_runs(paths)
    return compare_runs(runs, published, skipped)


def compare_runs(
    runs: Sequence[MeasuredRun],
    published: Published | None = None,
    skipped: Sequence[LatteError] = (),
) -> Comparison:
    """Compare runs that were read, beside published numbers if there are some."""
    rows, repeated = make_rows(runs)
    if published:
        rows = [beside(row, published) for row in rows]
    return Comparison(tuple(rows), published, (*skipped, *repeated))


def notes(comparison: Comparison) -> list[str]:
    """Return sentences that explain a comparison, for example the meaning of its intervals."""
    rows = comparison.rows
    texts = [ORACLE_NOTE] if any(map(uses_oracle, rows)) else []
    if most := max(len(row.settings) - len(row.shown) for row in rows):
        texts.append(
            f"Rows show the settings that tell them apart. {most:,} more settings differ; "
            "they are in the CSV (--csv FILE)."
        )
    models = {row.model for row in rows}
    if f"{ADAPTED}{OWN_IMAGES}" in models:
        texts.append(
            "adapted, own images: labels that the run gave to test images that are also training "
            "images, together with all training images. The other rows are about the test images "
            "that are not training images."
        )
    if IN_FULL in models:
        texts.append(f"{IN_FULL}: the adapted model, if the guard did not accept it in full.")
    texts += _interval_notes(rows)
    digests: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        digests.setdefault((row.method, row.dataset.name), set()).add(row.dataset.digest)
    if any(len(same_name) > 1 for same_name in digests.values()):
        texts.append("Runs on different evaluation images are kept apart, never averaged.")
    return [*texts, *_published_notes(comparison), *_guard_notes(comparison)]


def _interval_notes(rows: Sequence[ResultRow]) -> Iterator[str]:
    results = [row.result for row in rows if row.result]
    if any(result.top1.runs > 1 for result in results):
        yield "Several seeds: mean ± sample standard deviation of top-1."
    if results:
        yield (
            "The 95 % interval of a gain covers other images of the same kind and, with several "
            "seeds, other seeds."
        )


def _published_notes(comparison: Comparison) -> Iterator[str]:
    published = comparison.published
    if published is None:
        return
    yield (
        f"Published: {one_line(published.source)}. Published numbers are comparable only if model, "
        "split and prompts are the same."
    )
    if published.note:
        yield one_line(published.note)


def _guard_notes(comparison: Comparison) -> Iterator[str]:
    """Yield the verdicts of guards per method, and the gains that a person's answers measured."""
    verdicts = []
    for row in comparison.adapted:
        outcomes = Counter(run.outcome for run in row.runs if run.outcome)
        number = "" if len(row.runs) == 1 else f" of {len(row.runs)}"
        verdicts += [
            f"{row.name}: {f'{count}{number} ' if number else ''}{outcome}"
            for outcome, count in outcomes.items()
        ]
    if verdicts:
        yield f"Verdicts of guards: {'; '.join(dict.fromkeys(verdicts))}."
    measured_gains = False
    for row in comparison.adapted:
        for run in row.runs:
            if evidence := read_evidence(run.folder):
                measured_gains = True
                yield f"{one_line(run.folder.name)}: {one_line(evidence.sentence)}"
                if evidence.unknown:
                    yield evidence.unknown
    if measured_gains:
        yield "Gains after answers are about the runs' own training images."
