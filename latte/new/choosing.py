"""Compare models on unlabelled images, each with zero-shot and with the recipe of `latte adapt`."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from latte.interfaces import LatteError, Progress
from latte.new.adapting import naming_model, propose
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry
from latte.run.ready import fetch_model
from latte.run.workspace import Workspace, run_folder

if TYPE_CHECKING:
    from latte.run.comparing import MeasuredModel


def compare_models(
    images: Path,
    classes: Path | Sequence[str] | None,
    models: Sequence[str],
    registry: Registry,
    progress: Progress,
) -> Mapping[str, MeasuredModel]:
    """Run `latte adapt`'s recipe with each model; return the models, the highest score first.

    Recipes and runs are temporary.

    Raises `LatteError` for images, class names or models that no run could use; all models are
    checked and downloaded before torch is imported.
    """
    with TemporaryDirectory(prefix="latte-choose-") as folder:
        runs = {}
        for number, model in enumerate(models):
            output = Path(folder, str(number))
            try:
                proposed = propose(images, classes, None, output, "auto", model, registry=registry)
                recipe = load_recipe(proposed.recipe, registry)
                run = run_folder(recipe, None, output)
                with naming_model():
                    fetch_model(recipe, registry, run)
            except LatteError as error:
                where = "--models" if error.where == "--model" else error.where
                raise LatteError(error.what, where=where, hint=error.hint) from error
            runs[model] = recipe, run
        from latte.run.comparing import measure_model

        found = {}
        for model, (recipe, run) in runs.items():
            progress.say(f"model {model}")
            found[model] = measure_model(Workspace(recipe, registry, progress, run))
            gc.collect()  # frees the model, which is in reference cycles
    return dict(sorted(found.items(), key=lambda item: item[1].score, reverse=True))
