"""Put the outcome of a run on the screen: its classes, result, trust and next step."""

from __future__ import annotations

import shlex
from pathlib import Path

from latte.interfaces import RunResults
from latte.interfaces.questions import NONE_OF_THESE
from latte.io.paths import relative
from latte.report.class_rows import ClassRow, class_rows
from latte.report.next_step import NextStep
from latte.report.numbers import duration, plural, rounded_share
from latte.report.outcome import Outcome
from latte.report.screen import Bar, Screen, Step
from latte.report.statements import outcome
from latte.results.folder import RunFolder

DOUBTFUL = "? fits almost no photo"


def run_screen(results: RunResults, seconds: float) -> Screen:
    """Return the screen of a finished run, which the command made in `seconds` seconds."""
    run = relative(results.folder)
    said = outcome(results, run)
    rows = class_rows(results)
    heading, bars = _bars(results, said, rows)
    if results.none_images:
        bars = [*bars, Bar(NONE_OF_THESE, results.none_images)]
    skipped = results.record.data.skipped_images
    images = plural(results.record.data.training_images, "photo")
    files = plural(skipped, "file")
    return Screen(
        status=f"{images} labelled in {duration(seconds)}",
        warning=f"; {files} could not be read, see the report" if skipped else "",
        headings=("class", "photos", heading),
        bars=bars,
        result=said.result,
        trust=said.trust,
        steps=_steps(results.folder, said.step),
        facts=[*_facts(results.folder, run), *_recipe(results)],
    )


def _bars(results: RunResults, said: Outcome, rows: list[ClassRow]) -> tuple[str, list[Bar]]:
    """Return the heading of the last column, and a bar per class."""
    if said.case == "measured":
        return "right", [Bar(row.name, row.photos, row.before, _right(row)) for row in rows]
    if said.case == "doubted" or results.record.judge.used == "zero-shot":
        doubts = [DOUBTFUL if row.is_doubtful else "" for row in rows]
        return "", [
            Bar(row.name, row.photos, None, doubt, is_doubtful=bool(doubt))
            for row, doubt in zip(rows, doubts, strict=True)
        ]
    return "before", [Bar(row.name, row.photos, row.before) for row in rows]


def _right(row: ClassRow) -> str:
    """Return how many labelled photos of a class are right; a few are counted, not divided."""
    if row.right is None:
        return "not measured"
    share = rounded_share(row.right.correct / row.right.images, row.right.images)
    return share if " of " in share else f"{share} of {row.right.images:,}"


def _steps(folder: Path, step: NextStep) -> list[Step]:
    report = folder / "report" / "index.html"
    purposes = tuple(text[:1].lower() + text[1:] for text in (step.title, step.brief))
    steps = [Step("next", step.line, purposes)]
    return [*steps, *([Step("report", relative(report))] if report.exists() else [])]


def _facts(folder: Path, run: str) -> list[tuple[str, str]]:
    """Return the paths of further files, and commands, for other programs."""
    run_folder = RunFolder(folder)
    facts = [
        (word, relative(path))
        for word, path in (
            ("labels", run_folder.pseudo_labels),
            ("model", run_folder.adapted_model.backbone),
        )
        if path.exists()
    ]
    facts.append(("predict", shlex.join(["latte", "predict", run, "IMAGES"])))
    if run_folder.previous.exists():
        earlier = shlex.join(["latte", "predict", relative(run_folder.previous), "IMAGES"])
        facts.append(("previous", earlier))
    return facts


def _recipe(results: RunResults) -> list[tuple[str, str]]:
    recipe = results.record.source.recipe
    return [("recipe", relative(Path(recipe)))] if recipe else []
