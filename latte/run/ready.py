"""Load a recipe for a run, and check that its images and models exist. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from latte.interfaces import Dataset, ImageReference, LatteError
from latte.io.paths import MissingPathError, exists, refuse_read_only
from latte.recipe.component import ChosenComponent
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.places import DEFAULT, LEARNERS, MAIN, OVERRIDE
from latte.recipe.shipped import is_shipped
from latte.registry.context import no_clip
from latte.registry.registry import Registry
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.results.stages import STAGES
from latte.run.workspace import component_context, naming_encoder, run_folder


def load_recipe_or_saved(path: Path, registry: Registry, overrides: Sequence[str]) -> Recipe:
    """Load a recipe file, which may also be the `recipe.yaml` of a run folder.

    If it is, new runs are written beside this run folder, unless `overrides` set `output`.
    """
    folder = RunFolder(path.absolute().parent)
    if path.name != folder.recipe.name or not folder.results.exists():
        return load_recipe(path, registry, overrides)
    beside = f"output={json.dumps(str(folder.path.parent), ensure_ascii=False)}"
    return saved_recipe(Run(folder), registry, (beside, *overrides))


def saved_recipe(run: Run, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Load the recipe in a run folder; its relative paths start at the original recipe file."""
    loaded, path = load_recipe(run.folder.recipe, registry, overrides), run.recipe_path
    facts = {"path": path, "saved_in": run.folder.recipe}
    controls = {name: control.model_copy(update=facts) for name, control in loaded.controls.items()}
    return loaded.model_copy(update={**facts, "controls": controls})


def listed_images(run: Run, registry: Registry) -> Sequence[ImageReference]:
    """Return the training images that a run's dataset has now, without loading a model."""
    with naming_repair():
        dataset = unloaded_dataset(saved_recipe(run, registry), registry)
    return dataset.training_images()


def refuse_unready(
    recipe: Recipe,
    registry: Registry,
    *,
    until: str = STAGES[-1],
    limit: int | None = None,
    writes: bool = True,
) -> None:
    """Raise `LatteError` if a run cannot find its images, model or packages, or write its folder.

    A dataset is only checked if it `lists_quickly`. The models of controls are checked if the run
    includes the last stage. The folder is checked only if `writes` is true.
    """
    if _lists_quickly(recipe, registry):
        unloaded_dataset(recipe, registry)
    if STAGES.index(until) >= STAGES.index("train"):
        check_trainables(recipe, registry)
    folder = run_folder(recipe, limit)
    with naming_line(recipe):
        if writes and not exists(folder.path):
            refuse_read_only(folder.path, "output")
    fetch_models(recipe, registry, folder, until)
    for name, control in recipe.controls.items() if until == STAGES[-1] else ():
        check_trainables(control, registry)
        fetch_models(control, registry, run_folder(control, limit, folder.controls / name))


def fetch_models(
    recipe: Recipe, registry: Registry, folder: RunFolder, until: str = STAGES[-1]
) -> None:
    """Download the models for the stages up to `until`, unless they are cached or not needed."""
    if STAGES.index(until) >= STAGES.index("zero-shot"):
        fetch_backbone(recipe, registry, folder)
        fetch_encoders(recipe, registry, folder)


def fetch_backbone(recipe: Recipe, registry: Registry, folder: RunFolder) -> None:
    """Download the CLIP, unless it is cached, or its features are in the run folder."""
    if folder.results.finished("zero-shot") is None:
        with naming_line(recipe):
            unloaded(recipe, registry, recipe.backbone).fetch()


def fetch_encoders(recipe: Recipe, registry: Registry, folder: RunFolder) -> None:
    """Download the encoders, unless they are cached, or their features are in the run folder."""
    if folder.results.finished("zero-shot") is None:
        for encoder in recipe.encoders:
            with naming_encoder(encoder.label):
                unloaded(recipe, registry, encoder).fetch()


def check_models(recipe: Recipe, registry: Registry) -> None:
    """Check the models of the recipe and its controls without a download. Raises `LatteError`."""
    with naming_line(recipe):
        unloaded(recipe, registry, recipe.backbone).check()
        for encoder in recipe.encoders:
            with naming_encoder(encoder.label):
                unloaded(recipe, registry, encoder).check()
    check_trainables(recipe, registry)
    for control in recipe.controls.values():
        check_models(control, registry)


def check_dataset(recipe: Recipe, registry: Registry) -> Dataset[Any] | None:
    """List the images of the recipe's dataset; return the dataset, or None if it was not checked.

    A dataset is only checked if it `lists_quickly`. Raises `LatteError` if paths, class names or
    lists of images are wrong. For a shipped recipe, it is raised only if the user set an option of
    the dataset by `--set` or an environment variable.
    """
    if not _lists_quickly(recipe, registry):
        return None
    try:
        with naming_line(recipe):
            dataset = unloaded_dataset(recipe, registry)
            dataset.training_images()
            dataset.evaluation_images()
            _ = dataset.class_sentences
            return dataset
    except LatteError:
        origins = [origin for key, origin in recipe.origins.items() if key.startswith("dataset")]
        chosen_by_user = any(origin == OVERRIDE or "${" in origin for origin in origins)
        if not is_shipped(recipe.path) or chosen_by_user:
            raise
        return None


def _lists_quickly(recipe: Recipe, registry: Registry) -> bool:
    return cast("type[Dataset[Any]]", registry.load(recipe.dataset)).lists_quickly


def check_trainables(recipe: Recipe, registry: Registry) -> None:
    """Raise `LatteError` if a component of kind `trainable` cannot work on this machine."""
    if recipe.train.takes_steps:
        for number, learner in enumerate(recipe.learners):
            with naming_line(recipe, number):
                unloaded(recipe, registry, learner.trainable).check()


@contextmanager
def naming_line(recipe: Recipe, learner: int = 0) -> Iterator[None]:
    """Add the file and line of a recipe's key to a `LatteError` about this key.

    A key of the learner with index `learner` takes precedence over a key of the whole recipe.
    """
    try:
        yield
    except LatteError as error:
        key = error.where or ""
        full = f"{LEARNERS}.{learner}.{key}"
        is_short = [learner_choice.name for learner_choice in recipe.learners] == [MAIN]
        shown = full if full in recipe.origins and not is_short else key
        origin = recipe.origins.get(full) or recipe.origins.get(key, DEFAULT)
        where = error.where if origin == DEFAULT else f"{origin} {shown}"
        raise LatteError(error.what, where=where, hint=error.hint) from error


def unloaded_dataset(recipe: Recipe, registry: Registry) -> Dataset[Any]:
    """Build a recipe's dataset without a model. Raises `LatteError` if its files are missing."""
    return cast("Dataset[Any]", unloaded(recipe, registry, recipe.dataset))


def unloaded(recipe: Recipe, registry: Registry, choice: ChosenComponent) -> Any:
    """Build a component of a recipe without a run or a model."""
    context = component_context(recipe, registry, "cpu", no_clip)
    return registry.build(choice, choice.options, context)


@contextmanager
def naming_repair() -> Iterator[None]:
    """Set the hint of errors about missing images: how to repair the finished run."""
    try:
        yield
    except MissingPathError as error:
        error.hint = (
            "put it back, or repeat the command that made this run (latte adapt or latte run) "
            "with the new place of the images"
        )
        raise
