"""Gains of training-free methods over zero-shot on folders as people have them.

Folders are drawn from any labelled sets, with frozen features of any CLIP: folders in which few of
the class names occur, with long-tailed classes, few images, or images of no class. `--out` gets
`summary.md` and `rows.csv` (one row per draw and method; a stopped run resumes from it).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from latte_benchmarks.folder_cells import (
    CELL,
    NO_CLASS,
    Folder,
    FolderCell,
    cells_called,
    draw,
    drawable,
)
from torch import Tensor

from benchmarks.auroc import separation
from benchmarks.folder_files import number as numbered_sets
from benchmarks.folder_methods import (
    KNOWN,
    FolderLabels,
    FolderMethod,
    RecipeMethod,
    method_called,
    zero_shot,
)
from benchmarks.folder_rows import FolderRow, RowFile
from benchmarks.folder_runs import RecipeRuns
from benchmarks.folder_sets import Sets, positive, set_parser, sets_of, settings
from benchmarks.folder_summary import summary
from benchmarks.measuring import say
from latte.interfaces import LatteError
from latte.io.files import write_text
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.report.progress import make_progress
from latte.run.frozen import method_of

_HALF = 0.5
_UNREAD = {"IMAGES": ".", "CLASSES": "."}
"""Variables of recipes that come with latte; their images are those of the drawn folder."""


def main(arguments: Sequence[str]) -> None:
    """Draw, measure and summarise. Raises `LatteError` for a mistake in arguments or files."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    sets, cells, out = sets_of(options), cells_called(options.cells), options.out
    methods = _methods(options, sets)
    out.mkdir(parents=True, exist_ok=True)
    file = RowFile(out, settings(sets))
    for model in options.model:
        _measure_model(model, sets, cells, methods, options.draws, file)
    due_methods = [
        row
        for row in file.rows
        if row.model in options.model
        and row.method in methods
        and row.draw < options.draws
        and row.cell in {cell.name for cell in cells}
    ]
    text = summary(due_methods, [*methods])
    write_text(out / "summary.md", text)
    say(text)


def rows_of(
    folder: Folder, methods: Mapping[str, FolderMethod], place: tuple[str, str, str, int]
) -> list[FolderRow]:
    """Return the rows of one draw; `place` is its model, set, cell and number."""
    zero_shot_answers = zero_shot(folder)

    def of_part(part: Tensor | None) -> float | None:
        return None if part is None else _gain_on_own(folder, zero_shot_answers.own, part)

    rows = []
    for name, method in methods.items():
        answers = method(folder)
        verdict = answers.verdict
        rows.append(
            FolderRow(
                *place,
                name,
                images=len(folder.own),
                counted=int((folder.own.labels >= 0).sum()),
                own=_gain_on_own(folder, zero_shot_answers.own, answers.own),
                unseen=_gain_on_mix(folder, folder.mix, zero_shot_answers, answers),
                balanced=_gain_on_mix(
                    folder, torch.ones_like(folder.mix), zero_shot_answers, answers
                ),
                full=of_part(answers.full),
                strength=verdict.strength if verdict else None,
                outcome=verdict.outcome if verdict else None,
                foreign=_foreign(folder, answers.confidence),
                none=_foreign(folder, None if answers.none is None else -answers.none),
                called_none=_called_none(folder, answers.none),
                signals=verdict.signals if verdict else {},
            )
        )
    return rows


def _measure_model(
    model: str,
    sets: Sets,
    cells: Sequence[FolderCell],
    methods: Mapping[str, FolderMethod | RecipeRuns],
    draws: int,
    file: RowFile,
) -> None:
    done = {row.key for row in file.rows}
    due = {
        (name, cell, number): [
            method for method in methods if (model, name, cell.name, number, method) not in done
        ]
        for name in sets.names
        for cell in cells
        for number in range(draws)
    }
    if not any(due.values()):
        return
    progress = make_progress()
    loaded = {labelled.name: labelled for labelled in sets.load(model, load_registry(), progress)}
    loaded_sets = [*loaded.values()]
    cells_of = {
        labelled.name: drawable(labelled, cells, loaded_sets, progress) for labelled in loaded_sets
    }
    left = [place for place, names in due.items() if names and place[1] in cells_of[place[0]]]
    with progress.task(f"draws, {model}", len(left), "draws") as task:
        for name, cell, number in left:
            folder = draw(loaded[name], cell, number, loaded_sets)
            due_methods = {
                key: method.method(name, cell, number) if isinstance(method, RecipeRuns) else method
                for key, method in methods.items()
                if key in due[name, cell, number]
            }
            file.add(rows_of(folder, due_methods, (model, name, cell.name, number)))
            task.advance(1, set=name, cell=cell.name)


def _foreign(folder: Folder, confidence: Tensor | None) -> float | None:
    """Return how well `confidence` (N,) tells images that show a name from others (AUROC)."""
    shows_name = folder.own.labels != NO_CLASS
    if confidence is None or bool(shows_name.all()):
        return None
    return separation(confidence[shows_name], confidence[~shows_name])


def _called_none(folder: Folder, none: Tensor | None) -> float | None:
    """Return the share of images that show a name but would be called "none of these"."""
    if none is None:
        return None
    return float((none[folder.own.labels != NO_CLASS] > _HALF).double().mean())


def _gain_on_own(folder: Folder, zero_shot_labels: Tensor, adapted_labels: Tensor) -> float:
    """Return the gain in points on the own images that show one of the names."""
    counted = folder.own.labels >= 0
    truth = folder.own.labels[counted]
    right, was = (
        (labels[counted] == truth).sum(dtype=torch.float64)
        for labels in (adapted_labels, zero_shot_labels)
    )
    return float(100 * (right - was) / counted.sum())


def _gain_on_mix(
    folder: Folder, weights: Tensor, zero_shot_answers: FolderLabels, adapted_answers: FolderLabels
) -> float:
    """Return the gain in points on unseen images, averaged over classes with `weights` (C,).

    Classes without unseen images are left out.
    """
    truth, classes = folder.test.labels, len(weights)
    counts = truth.bincount(minlength=classes).double()
    change = (adapted_answers.test == truth).double() - (zero_shot_answers.test == truth).double()
    recall = torch.zeros(classes, dtype=torch.float64).index_add(0, truth, change)
    weights = weights.double() * (counts > 0)
    return float(100 * (weights * recall / counts.clamp_min(1)).sum() / weights.sum())


def _methods(options: argparse.Namespace, sets: Sets) -> dict[str, FolderMethod | RecipeRuns]:
    """Return the chosen or all installed methods, recipes last. Raises `LatteError`."""
    methods: dict[str, FolderMethod | RecipeRuns] = {}
    for name in options.methods or KNOWN:
        try:
            methods[name] = method_called(name)
        except LatteError as error:
            if options.methods:
                raise
            make_progress().say(f"method {name} is left out: {error.what}")
    for text in options.method:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise LatteError(f'"{text}" is not NAME=RECIPE', where="--method")
        registry = load_registry()
        recipe = load_recipe(Path(path), registry, environment=_UNREAD | dict(os.environ))
        if not recipe.train.takes_steps:
            methods[name] = RecipeMethod(method_of(recipe, registry))
        elif sets.files or sets.subsets:
            raise LatteError(
                f"{path} trains, which needs images",
                where="--method",
                hint="name whole sets with --set, and leave --features and --subset out",
            )
        else:
            methods[name] = RecipeRuns(Path(path), numbered_sets(sets), options.out / "runs")
    return methods


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("folders", __doc__)
    add = parser.add_argument
    add("--model", action="append", metavar="MODEL", help="a CLIP (default: plugin:tiny)")
    add("--draws", type=positive, default=10, help="folders of each cell (%(default)s)")
    add("--cells", type=_listed, help=f"of: {', '.join(CELL)}".replace("%", "%%"))
    add("--methods", type=_listed, help="names, separated by commas; without it all are run")
    add("--method", action="append", default=[], metavar="NAME=RECIPE", help="of a recipe")
    add("--out", type=Path, required=True, help="folder of rows.csv and summary.md")
    options = parser.parse_args(arguments)
    options.model = options.model or ["plugin:tiny"]
    return options
