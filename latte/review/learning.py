"""Run the recipe of a reviewed run again, with a person's answers as training labels."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from pathlib import Path

from latte.interfaces import LatteError, Progress, RunResults
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry
from latte.results.answers import Answer, latest, read_answers
from latte.results.evidence import uses
from latte.results.folder import PREVIOUS, RunFolder
from latte.results.given_labels import label_files
from latte.results.run import Run
from latte.review.session import Review
from latte.run.runner import run_recipe


def learn(review: Review, registry: Registry, progress: Progress) -> RunResults:
    """Run the recipe again with `corrections`: all answers of the review become training labels.

    The labels that taught the reviewed run still teach; an answer corrects them. The new run folder
    is beside the reviewed run folder.
    """
    run = review.run
    if not teaching_answers(review.file):
        counts = uses(review.answers().values())
        raise LatteError(
            "there is no answer to learn from" + (f": of the answers, {counts}" if counts else ""),
            where=str(review.file),
            hint=shlex.join(["latte", "review", str(run.folder.path)]),
        )
    path = run.recipe_path
    files = dict.fromkeys([*label_files(run.recipe), os.path.relpath(review.file, path.parent)])
    value = json.dumps([*files] if len(files) > 1 else next(iter(files)))
    recipe = load_recipe(run.folder.recipe, registry, [f"corrections={value}"])
    limit, output = run.record.source.limit, run.folder.path.parent
    recipe = recipe.model_copy(update={"path": path, "saved_in": run.folder.recipe})
    results = run_recipe(recipe, registry, progress, limit=limit, output=output)
    assert results is not None, "the run goes to its last stage"
    return results


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
