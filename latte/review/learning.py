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
from latte.results.answers import teaching_labels
from latte.results.folder import PREVIOUS, RunFolder
from latte.results.run import Run
from latte.review.sentences import uses
from latte.review.session import Review
from latte.run.runner import run_recipe


def learn(review: Review, registry: Registry, progress: Progress) -> RunResults:
    """Run the recipe again with `corrections`: a person's answers as training labels.

    The new run folder is beside the reviewed run folder. The new run is measured only on images
    whose answers never become training labels.
    """
    run = review.run
    if not teaching_labels(review.file):
        found = uses(review.answers().values())
        review_command = shlex.join(["latte", "review", str(run.folder.path)])
        raise LatteError(
            "there is no answer to learn from" + (f": of the answers, {found}" if found else ""),
            where=str(review.file),
            hint=f"{review_command}, and choose a task that begins with Teach",
        )
    path = run.recipe_path
    file = os.path.relpath(review.file, path.parent)
    recipe = load_recipe(run.folder.recipe, registry, [f"corrections={json.dumps(file)}"])
    limit, output = run.record.source.limit, run.folder.path.parent
    recipe = recipe.model_copy(update={"path": path, "saved_in": run.folder.recipe})
    results = run_recipe(recipe, registry, progress, limit=limit, output=output)
    assert results is not None, "the run goes to its last stage"
    return results


def learned_runs(review: Path) -> list[Path]:
    """Return the finished runs beside the reviewed run that were trained with its answers."""
    found = []
    for path in sorted(review.parent.parent.glob("*/recipe.yaml")):
        run = Run(RunFolder(path.parent))
        with suppress(LatteError):
            file = run.recipe.get("corrections")
            base = run.recipe_path.parent
            taught = bool(file) and (base / str(file)).resolve() == review.resolve()
            moved = path.parent.suffix == PREVIOUS
            if taught and not moved and run.folder.results.recorded("evaluate"):
                found.append(path.parent)
    return found
