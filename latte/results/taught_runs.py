"""Find the answers that teach, the files that have them, and the runs that they taught."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.io.paths import relative
from latte.results.answers import Answer, latest, read_answers
from latte.results.folder import PREVIOUS, RunFolder
from latte.results.run import Run


def label_files(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths in the key `corrections` of a resolved recipe, which is a path or a list."""
    files = recipe.get("corrections") or ()
    return (files,) if isinstance(files, str) else tuple(map(str, files))


def teaching_answers(file: Path) -> list[Answer]:
    """Return the answers of a review that name a class: they become training labels."""
    answers = latest(read_answers(file)).values()
    return [answer for answer in answers if answer.label is not None]


def learned_runs(review: Path) -> list[Path]:
    """Return the finished runs beside the reviewed run that were trained with its answers."""
    folders = []
    for path in sorted(review.parent.parent.glob("*/recipe.yaml")):
        run = Run(RunFolder(path.parent))
        with suppress(LatteError):
            base = run.recipe_path.parent
            files = [(base / file).resolve() for file in label_files(run.recipe)]
            was_moved = path.parent.suffix == PREVIOUS
            is_finished = run.folder.results.recorded("evaluate")
            if review.resolve() in files and not was_moved and is_finished:
                folders.append(path.parent)
    return folders


def next_step(labels: int, run: Path) -> str:
    """Return the command that trains a new run with answers; empty if `labels`, their number, is 0.

    `run` is the reviewed run's folder.
    """
    if not labels:
        return ""
    answers = "1 answer teaches" if labels == 1 else f"{labels:,} answers teach"
    command = shlex.join(["latte", "review", relative(run), "--learn"])
    return f"{answers}; next step: {command}"
