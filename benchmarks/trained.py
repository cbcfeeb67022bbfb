"""Gains over zero-shot of recipes that train, with and without a guard's verdict.

Draws folders as `folders` does, writes each as a dataset, and runs whole recipes on it: LatteCLIP
with the demo's settings (`demo`), the same with the labeler `transductive`, which labels all images
jointly (`transductive`), FLYP, ReCLIP, and `adapt`, which trains nothing. The guard `evidence`
judges each run. Gains are those of the adapted model, and of the run's model after the verdict.

`--out` gets `rows.csv` (from which a stopped measurement resumes), `summary.md`, and a folder per
draw with its lists and recipes. A run folder is removed when its rows are written.
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from latte_benchmarks.folder_cells import CELL, NO_CLASS, cells_called, drawable

from benchmarks.folder_rows import Row, RowFile
from benchmarks.folder_sets import positive, set_parser, sets_of, settings
from benchmarks.measuring import evaluated_run, say
from benchmarks.trained_draws import UNSEEN_IMAGES, Drawn, NumberedSets, draw_files, number
from benchmarks.trained_summary import judged, summary
from latte.interfaces import Evaluation
from latte.io.files import write_text
from latte.recipe.dump import dump_yaml
from latte.report.progress import make_progress
from latte.results.folder import RunFolder

MODEL = "plugin:tiny"
TELLING = (
    *("all names", "5 % of the names", "one dominant class"),
    *("Zipf 1", "50 images", "30 % of no class"),
)
"""Names of the drawn cells; see `folder_cells`."""
BATCHES = 4
"""Batches per epoch of LatteCLIP and FLYP, as in the demo with its 1,000 images."""
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "adapt": {"backbone": {"model": MODEL}},
    "demo": {},
    "transductive": {},
    "flyp": {},
    "reclip": {"train": {"max_epochs": 1}},
}
"""Changes to each recipe that comes with latte, besides dataset, seed and guard."""
_BATCHED = ("demo", "transductive", "flyp")


def main(arguments: Sequence[str]) -> None:
    """Draw, run and summarise. Raises `LatteError` for a mistake in arguments or files."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    progress, sets, out = make_progress(), sets_of(options), options.out
    numbered = number(sets)
    out.mkdir(parents=True, exist_ok=True)
    limits = {"images": options.images, "unseen": UNSEEN_IMAGES}
    file = RowFile(out, {**settings(sets), **limits})
    done = {row.key for row in file.rows}
    cells, other_sets = cells_called(TELLING), [*numbered.sets.values()]
    due = [
        place
        for seed in options.seeds
        for name in sets.names
        for cell in drawable(numbered.sets[name], cells, other_sets, progress)
        for recipe in options.recipes
        if (MODEL, *(place := (name, cell.name, seed, recipe))) not in done
    ]
    with progress.task("runs", len(due), "runs") as task:
        for name, cell, seed, recipe in due:
            task.advance(0, set=name, cell=cell, recipe=recipe)
            file.add(_run(numbered, out, (name, cell, seed, recipe), options.images))
            task.advance(1)
    text = summary([row for row in file.rows if row.draw in options.seeds], options.recipes)
    write_text(out / "summary.md", text)
    say(text)


def recipe_for(name: str, dataset: Mapping[str, Any], images: int, seed: int) -> dict[str, Any]:
    """Return the recipe `name` with this dataset of `images` images, and with the guard."""
    changed: dict[str, Any] = {
        "extends": name,
        "name": name,
        "requires": ["latte-transductive>=0.1,<0.2"],
        "dataset": dict(dataset),
        "seed": seed,
        "device": "cpu",
        "guard": "evidence",
        "reporters": [],
        "controls": None,
        **RECIPES[name],
    }
    if name in _BATCHED:
        changed["train"] = {"batch_size": max(2, math.ceil(images / BATCHES))}
    return changed


def rows_of(
    run: RunFolder, drawn: Drawn, labels: Mapping[str, int], place: tuple[str, str, str, int, str]
) -> list[Row]:
    """Return two rows of a finished run: one of the adapted model, one of the model that it uses.

    `labels` are the own images' labels by id; `place` is model, set, cell, seed and recipe.
    """
    *where, name = place
    record = run.results.read()
    classifiers = {model.name: model.classifier for model in record.evaluate.models}
    verdict = record.train.verdict
    assert verdict is not None, "each recipe has a guard"
    used, adapted, zero_shot = (
        classifiers[record.train.used],
        classifiers["adapted"],
        classifiers["zero-shot"],
    )
    assert used and adapted and zero_shot, "all models are measured"
    is_rejected = record.train.used != "adapted"
    own_points = own_gain(run.pseudo_labels, labels, drawn.names)
    adapted_labels = run.adapted_model.pseudo_labels if is_rejected else run.pseudo_labels
    full = own_gain(adapted_labels, labels, drawn.names)
    shared: dict[str, Any] = {
        **dict(zip(("model", "set", "cell", "draw"), where, strict=True)),
        "images": len(drawn.own),
        "counted": sum(label != NO_CLASS for label in labels.values()),
        "balanced": math.nan,  # classes that do not occur are not evaluated
    }
    unseen_points = unseen_gain(zero_shot, adapted, drawn)
    return [
        Row(method=name, own=full, unseen=unseen_points, **shared),
        Row(
            method=judged(name),
            own=own_points,
            unseen=unseen_gain(zero_shot, used, drawn),
            full=full,
            strength=verdict.strength,
            signals=verdict.signals,
            **shared,
        ),
    ]


def unseen_gain(zero_shot: Evaluation, adapted: Evaluation, drawn: Drawn) -> float:
    """Return the gain in points: mean recall of evaluated classes, by their own images' shares."""
    gain = total = 0.0
    for share, was, accuracy_now in zip(
        drawn.mix.tolist(), zero_shot.classes, adapted.classes, strict=True
    ):
        if was.images:
            total += share
            gain += share * (accuracy_now.correct - was.correct) / was.images
    return 100 * gain / total


def own_gain(pseudo_labels: Path, labels: Mapping[str, int], names: Sequence[str]) -> float:
    """Return the gain in accuracy in points, on the own images that show one of the names."""
    right = counted = 0
    with pseudo_labels.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (label := labels[row["image"]]) != NO_CLASS:
                counted += 1
                right += (row["adapted"] == names[label]) - (row["zero_shot"] == names[label])
    return 100 * right / counted


def _run(
    numbered: NumberedSets, out: Path, place: tuple[str, str, int, str], most: int
) -> list[Row]:
    """Draw, write and run one recipe; return its rows and remove its run folder."""
    name, cell, seed, recipe = place
    drawn = draw_files(numbered, name, CELL[cell], seed, most)
    folder = out / "draws" / f"{name}-{cell.replace(' %', '%').replace(' ', '-')}-{seed}"
    path = folder / f"{recipe}.yaml"
    write_text(path, dump_yaml(recipe_for(recipe, drawn.write(folder), len(drawn.own), seed)))
    run = evaluated_run(path, out / "runs")
    rows = rows_of(run, drawn, drawn.own_labels(folder), (MODEL, *place))
    shutil.rmtree(run.path)
    return rows


def _seeds(text: str) -> list[int]:
    fields = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in fields):
        raise argparse.ArgumentTypeError(f'"{text}" must be whole numbers, such as 0,1,2')
    return [int(part) for part in fields]


def _recipes(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    if unknown := [name for name in names if name not in RECIPES]:
        raise argparse.ArgumentTypeError(f'"{unknown[0]}" is none of {", ".join(RECIPES)}')
    return names


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = set_parser("trained", __doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--seeds", type=_seeds, default=[0], help="a folder of each cell for each (default: 0)")
    add("--recipes", type=_recipes, default=[*RECIPES], help=f"of: {', '.join(RECIPES)}")
    add("--images", type=positive, default=200, help="most own images of a folder (%(default)s)")
    add("--out", type=Path, required=True, help="folder of rows.csv and summary.md")
    return parser.parse_args(arguments)
