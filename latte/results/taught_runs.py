"""Find the files of answers that teach, and the runs that they taught."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.io.paths import relative
from latte.results.folder import MODEL_ANSWERS, PREVIOUS, RunFolder
from latte.results.run import Run
from latte.results.run_answers import current_names


def label_files(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths in the key `corrections` of a resolved recipe, which is a path or a list."""
    files = recipe.get("corrections") or ()
    return (files,) if isinstance(files, str) else tuple(map(str, files))


def person_files(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths in `corrections` whose classes a person gave, not a model."""
    return tuple(file for file in label_files(recipe) if not has_model_answers(file))


def has_model_answers(file: str) -> bool:
    """Return True for the path of a file of a model's answers."""
    return Path(file).name == MODEL_ANSWERS


def answers_setting(labels: Sequence[str], folder: RunFolder, base: Path) -> str:
    """Return the setting `corrections=VALUE` that adds the answers about a run to its labels.

    `labels` are the paths that the recipe names, relative to the recipe's folder `base`.
    """
    answers = folder.answer_files or (folder.review,)
    files = [*dict.fromkeys([*labels, *(os.path.relpath(file, base) for file in answers)])]
    return f"corrections={json.dumps(files if len(files) > 1 else files[0])}"


def other_label_files(run: Run) -> list[str]:
    """Return the paths in the run's `corrections` that are not its files of answers."""
    answers = {file.resolve() for file in run.folder.answer_files}
    files = zip(label_files(run.recipe), _resolved_files(run), strict=True)
    return [file for file, path in files if path not in answers]


def learned_runs(reviewed: Run) -> list[Path]:
    """Return the other finished runs on the same images that were trained with its answers."""
    return [
        folder
        for path in sorted(reviewed.folder.review.parent.glob("*/recipe.yaml"))
        if not (folder := path.parent).samefile(reviewed.folder.path)
        if folder.suffix != PREVIOUS and _has_learned(Run(RunFolder(folder)), reviewed)
    ]


def _has_learned(run: Run, reviewed: Run) -> bool:
    with suppress(LatteError):
        files = {file.resolve() for file in reviewed.folder.answer_files}
        has_same_images = _dataset(run) == _dataset(reviewed)
        has_same_images = has_same_images and run.class_names == current_names(reviewed)
        is_taught = has_same_images and not files.isdisjoint(_resolved_files(run))
        return is_taught and run.folder.results.recorded("evaluate") is not None
    return False


def _dataset(run: Run) -> Any:
    """Return the dataset of a run without its list of classes, which a person may change."""
    dataset = run.recipe.get("dataset")
    return dataset | {"classes": None} if isinstance(dataset, dict) else dataset


def _resolved_files(run: Run) -> list[Path]:
    base = run.recipe_path.parent
    return [(base / Path(file).expanduser()).resolve() for file in label_files(run.recipe)]


def next_step(labels: int, run: Path) -> str:
    """Return the command that trains a new run with answers; empty if `labels`, their number, is 0.

    `run` is the reviewed run's folder.
    """
    if not labels:
        return ""
    answers = "1 answer teaches" if labels == 1 else f"{labels:,} answers teach"
    command = shlex.join(["latte", "review", relative(run), "--learn"])
    return f"{answers}; next step: {command}"
