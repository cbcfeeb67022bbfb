"""Opens a run folder again: its recipe, images and model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from latte.interfaces import Evaluation, LatteError, Progress, RunResults
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry
from latte.results.evaluations import read_evaluations
from latte.results.folder import RunFolder
from latte.results.stored import read_stored
from latte.results.verdict import has_candidate
from latte.run.adapted import Adapted, load_adapted
from latte.run.collect import collect_results
from latte.run.evaluating import Measured, adapted_similarities, compare
from latte.run.images import find_images
from latte.run.judging import load_outcome
from latte.run.posterior import read_own_images
from latte.run.process import keep_freed_memory
from latte.run.workspace import Workspace, find_device, run_folder
from latte.run.zero_shot import compute_zero_shot


@dataclass(frozen=True)
class _Source:
    """What is needed of `source.json`."""

    recipe: str
    limit: int | None


def open_folder(path: Path) -> RunFolder:
    """The run folder at `path`. Raises `LatteError` if it is none."""
    folder = RunFolder(path.absolute())
    if not folder.recipe.exists():
        nearby = sorted(one.parent for one in path.absolute().parent.glob("*/recipe.yaml"))
        hint = f"run folders beside it: {', '.join(one.name for one in nearby)}" if nearby else None
        raise LatteError("this is not a run folder", where=str(path), hint=hint)
    return folder


def open_workspace(path: Path, registry: Registry, progress: Progress) -> Workspace:
    """The run at `path` with the recipe that it ran, whose relative paths keep their meaning."""
    folder = open_folder(path)
    source = read_stored(folder.source, _Source, "run its recipe again, which writes it anew")
    recipe = replace(load_recipe(folder.recipe, registry), path=Path(source.recipe))
    return Workspace(recipe, registry, progress, folder, limit=source.limit)


def load_adapted_run(
    path: Path, device: str, progress: Progress | None, *, candidate: bool = False
) -> tuple[RunFolder, Adapted, str]:
    """A run folder, its adapted model or its `candidate`, and the device that the model is on.

    Needs neither the recipe's plugins nor its images. Raises `LatteError` if there is no model, or
    no candidate apart from it.
    """
    keep_freed_memory()
    folder, found = open_folder(path), find_device(device)
    if candidate and not has_candidate(folder):
        raise LatteError(
            "this run has no candidate apart from its model: it took all that it adapted"
            if folder.prototypes.exists()
            else "there is no trained model in this run folder",
            where=str(folder.path),
            hint="leave --candidate out; in Python: candidate=False",
        )
    return folder, load_adapted(folder, found, progress, candidate=candidate), found


def evaluate_run(path: Path, registry: Registry, progress: Progress) -> list[Evaluation]:
    """Measure a run's saved model on its evaluation split, from the images up.

    Raises `LatteError` where the dataset has no labelled images.
    """
    keep_freed_memory()
    workspace = open_workspace(path, registry, progress)
    images = find_images(workspace)
    if not images.labels:
        raise LatteError(
            "this run's dataset has no labelled images",
            where=str(workspace.folder.recipe),
            hint="give it some with `dataset.evaluation`; labels are used for nothing else",
        )
    outcome = load_outcome(workspace.folder, workspace.device, progress)
    zero_shot = compute_zero_shot(workspace, images)
    measured = [
        Measured(
            adapted_similarities(workspace, one, images.evaluation.cache, progress, "evaluate"),
            read_own_images(
                workspace.folder, len(images.class_names), candidate=one is outcome.rejected
            ),
        )
        for one in (outcome.adapted, outcome.rejected)
        if one is not None
    ]
    return compare(images, zero_shot, *measured)


def report_run(path: Path, registry: Registry, progress: Progress) -> tuple[RunResults, list[Path]]:
    """Write a finished run's reports again; returns what they show and the files."""
    workspace = open_workspace(path, registry, progress)
    if not workspace.folder.evaluation.exists():
        raise LatteError(
            "this run is not finished, so there is nothing to report",
            where=str(path),
            hint=f"finish it first: latte run {workspace.recipe.path}",
        )
    controls = {}
    for name, recipe in workspace.recipe.controls.items():
        folder = run_folder(recipe, workspace.limit, workspace.folder.controls / name)
        if folder.evaluation.exists():
            controls[name] = read_evaluations(folder)
    with workspace.folder.lock():
        results = collect_results(workspace, find_images(workspace), controls)
        files = [
            file
            for choice in workspace.recipe.reporters
            for file in workspace.build(choice).report(results)
        ]
    return results, files
