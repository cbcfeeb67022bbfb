"""Run the recipe of a reviewed run again, with a person's answers as training labels."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from latte.data.sources.class_lookup import ALIAS_SEPARATOR
from latte.interfaces import LatteError, Progress, RunResults
from latte.interfaces.progress import SilentProgress
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.measured_gain import uses
from latte.results.run import Run
from latte.results.run_answers import RunAnswers, current_names
from latte.results.taught_runs import answers_setting, label_files
from latte.run.again import run_again
from latte.run.workspace import Workspace


def learn(run: Run, registry: Registry, progress: Progress) -> RunResults:
    """Run the recipe again with `corrections`: all answers about the run become training labels.

    The labels that taught the reviewed run still teach; an answer corrects them. The new run folder
    is beside the reviewed run folder. A run that fewer answers taught stays there until the new run
    is complete.
    """
    answers = RunAnswers(run).answers().values()
    if not any(answer.label for answer in answers):
        counts = uses(answers)
        raise LatteError(
            "there is no answer to learn from" + (f": of the answers, {counts}" if counts else ""),
            where=str(run.folder.review),
            hint=shlex.join(["latte", "review", str(run.folder.path)]),
        )
    recipe, output = taught_recipe(run, registry), run.folder.path.parent
    results = run_again(recipe, registry, progress, run.record.source.limit, output)
    assert results is not None, "the run goes to its last stage"
    return results


def taught_recipe(run: Run, registry: Registry) -> Recipe:
    """Return the recipe of a reviewed run whose `corrections` also name the run's answers.

    If a person changed class names while answering, the recipe has the new list.
    """
    base = run.recipe_path.parent
    settings = [answers_setting(label_files(run.recipe), run.folder, base)]
    names = current_names(run)
    if names != run.class_names:
        settings.append(f"dataset.classes={json.dumps(_entries(run, registry, names))}")
    return _recipe(run, registry, settings)


def _recipe(run: Run, registry: Registry, settings: Sequence[str] = ()) -> Recipe:
    recipe = load_recipe(run.folder.recipe, registry, settings)
    return recipe.model_copy(update={"path": run.recipe_path, "saved_in": run.folder.recipe})


def _entries(run: Run, registry: Registry, names: Sequence[str]) -> list[str]:
    """Return the classes as a recipe lists them; those with the old name keep their aliases."""
    workspace = Workspace(_recipe(run, registry), registry, SilentProgress(), run.folder)
    aliases = dict(zip(run.class_names, workspace.dataset.class_aliases, strict=True))
    kept = dict(zip(run.class_names, names, strict=False))
    return [
        ALIAS_SEPARATOR.join(aliases[name]) if kept.get(name) == name else name for name in names
    ]
