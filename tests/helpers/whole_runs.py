"""Whole runs in this process, and comparison of their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from latte_author.testing.tiny_runs import assert_same, results

from latte.interfaces import RunResults
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder
from tests.helpers.recorded import RecordedProgress


def run(
    recipe: Path, *overrides: str, output: Path | None = None, **options: Any
) -> tuple[Path, RunResults | None, RecordedProgress]:
    """Run a recipe; return the run folder, the results, and the recorded progress."""
    registry, progress = load_registry(), RecordedProgress()
    loaded = load_recipe(recipe, registry, overrides)
    run_results = run_recipe(loaded, registry, progress, output=output, **options)
    return run_folder(loaded, options.get("limit"), output).path, run_results, progress


def environment(folder: Path) -> dict[str, str]:
    """Return a process environment with its cache in `folder`, one thread and no terminal."""
    return {
        **os.environ,
        "LATTE_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "CI": "true",
    }


RESULT_FILES = (
    "models/adapted/prototypes.safetensors",
    "metrics.jsonl",
    "descriptions.jsonl",
    "predictions.csv",
    "pseudo_labels.csv",
    "models/adapted/model/open_clip_model.safetensors",
)


def assert_same_results(folder: Path, other_folder: Path) -> None:
    assert_same(results(folder), results(other_folder), "in two runs that mean the same")


def coop_split(images: Path, test: Path, labels: list[int | None]) -> dict[str, object]:
    """Return the content of a CoOp split file, with `labels` for the training images."""
    names = ("red", "green", "blue")
    train = [
        [path.relative_to(images.parent).as_posix()]
        + ([] if label is None else [label, names[label]])
        for path, label in zip(sorted(images.rglob("*.jpg")), labels, strict=True)
    ]
    tested = [
        [
            path.relative_to(images.parent).as_posix(),
            names.index(path.parent.name),
            path.parent.name,
        ]
        for path in sorted(test.rglob("*.jpg"))
    ]
    return {"train": train, "val": [], "test": tested}
