"""Reopen a finished run: measure its models again, or write the reports again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latte.interfaces import ImageReference, LatteError, Progress, RunModel, RunResults
from latte.interfaces.record import EvaluationCopies
from latte.io.memory import keep_freed_memory
from latte.io.paths import exists, is_folder, relative
from latte.models.posterior import read_own_images
from latte.models.saved_model import load_model
from latte.registry.registry import Registry
from latte.results.run import Run, open_finished
from latte.run.collect import collect_results
from latte.run.evaluating import measure
from latte.run.evaluation_copies import find_copies
from latte.run.images import Images, changed_inputs, find_images
from latte.run.judging import load_outcome
from latte.run.member_features import encode_members
from latte.run.ready import naming_repair, saved_recipe
from latte.run.workspace import Workspace
from latte.run.zero_shot import compute_zero_shot


def open_workspace(path: Path, registry: Registry, progress: Progress) -> Workspace:
    """Open the run at `path` with its saved recipe."""
    run = open_finished(path)
    recipe = saved_recipe(run, registry)
    return Workspace(recipe, registry, progress, run.folder, limit=run.record.source.limit)


def training_images(path: Path, registry: Registry, progress: Progress) -> Sequence[ImageReference]:
    """Return the training images that the dataset of the run at `path` has now."""
    with naming_repair():
        return open_workspace(path, registry, progress).dataset.training_images()


def evaluate_run(
    path: Path, registry: Registry, progress: Progress
) -> tuple[list[RunModel], EvaluationCopies | None]:
    """Measure a run's models on the evaluation images; say which are near-copies.

    Raises `LatteError` without labels.
    """
    keep_freed_memory()
    workspace = open_workspace(path, registry, progress)
    with naming_repair():
        images = find_images(workspace)
    _refuse_changed(workspace, images, "class names")
    if not images.labels:
        raise LatteError(
            "this run's dataset has no labelled images",
            where=str(workspace.folder.recipe),
            hint="give it some with `dataset.evaluation`; labels are used for nothing else",
        )
    size = workspace.recipe.evaluate.batch_size
    zero_shot = compute_zero_shot(workspace, images, with_encoders=False)
    adapted = load_model(Run(workspace.folder), workspace.device, progress, "adapted")
    outcome = load_outcome(workspace, images, zero_shot, adapted)
    features = encode_members(adapted, images.evaluation.cache, size, progress, "evaluate")
    # A mixed model exists only if CLIP was not trained, and has the members of the adapted model.
    evaluation = {role: model.in_blocks(features) for role, model in outcome.models.items()}
    evaluation["zero-shot"] = outcome.zero_shot.in_blocks([zero_shot.clip.evaluation])
    copies = find_copies(workspace, images, zero_shot)
    left_out = copies.left_out if copies else None
    posterior = read_own_images(Run(workspace.folder))
    models = measure(images, evaluation, posterior, outcome.used, left_out)
    return models, copies.facts if copies else None


def _refuse_changed(workspace: Workspace, images: Images, *needed: str) -> None:
    """Raise `LatteError` if an input in `needed` has changed since the run.

    `needed` may contain `class names` and `images`.
    """
    changed = [name for name in changed_inputs(workspace.folder, images) if name in needed]
    if not changed:
        return
    recipe, run = workspace.recipe, Run(workspace.folder)
    values = [value for value in recipe.resolved["dataset"].values() if isinstance(value, str)]
    paths = [recipe.base_dir / value for value in values]
    files = [relative(path) for path in paths if exists(path) and not is_folder(path)]
    raise LatteError(
        f"the {' and the '.join(changed)} have changed since this run",
        where=", ".join(files) or str(workspace.folder.path),
        hint=f"put them back, or make the run again: {run.repeat_command()}",
    )


def report_run(path: Path, registry: Registry, progress: Progress) -> tuple[RunResults, list[Path]]:
    """Write a finished run's reports again; return the results and the written files."""
    workspace = open_workspace(path, registry, progress)
    if workspace.folder.results.recorded("evaluate") is None:
        raise LatteError(
            "this run is not finished, so there is nothing to report",
            where=str(path),
            hint=f"finish it: {Run(workspace.folder).repeat_command()}",
        )
    with workspace.folder.lock():
        with naming_repair():
            images = find_images(workspace)
        _refuse_changed(workspace, images, "class names", "images")
        results = collect_results(workspace, images)
        reporters = workspace.listeners.reporters
        files = [file for reporter in reporters for file in reporter.report(results)]
    return results, files
