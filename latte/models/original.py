"""Load the original CLIP of a run that trained a copy of it, from the run's record alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from latte.interfaces import Backbone, BackboneLoader, LatteError, Progress
from latte.interfaces.record import StoredLoader
from latte.io.paths import exists
from latte.io.variables import UnsetVariableError, expand_variables
from latte.registry.context import unbound_context
from latte.registry.registry import load_registry
from latte.results.run import Run

_USE_ADAPTED = 'or use the adapted model: `--use adapted`, in Python `use="adapted"`'


def load_original(run: Run, device: str, progress: Progress) -> Backbone:
    """Load the CLIP that the run began with onto `device`.

    Raises `LatteError` if its plugin, its weights or an environment variable are missing, if the
    weights have changed since the run, or if an earlier version of latte made the run.
    """
    stored = run.record.source.loader
    if stored is None:
        raise LatteError(
            "an earlier version of latte made this run, and did not record how to load the "
            "original CLIP, which zero-shot CLIP needs",
            where=str(run.folder.path),
            hint=f"record it by making the run again: {run.repeat_command()}",
        )
    with _naming_repair(run):
        loader = _build(run, stored, device, progress)
        if loader.identity() != run.record.source.backbone:
            raise LatteError(
                f"the weights of {loader.title} have changed since this run, which uses them "
                "because it kept zero-shot CLIP",
                where=str(run.folder.path),
                hint=f"put them back, or make the run again: {run.repeat_command()}",
            )
        progress.say(f"loading {loader.title}")
        return loader.load()


def _build(run: Run, stored: StoredLoader, device: str, progress: Progress) -> BackboneLoader[Any]:
    registry, where = load_registry(), str(run.folder.results.path)
    registered = registry.get("backbone", stored.use, where=where)
    values = {name: _expanded(value, run, name) for name, value in stored.options.items()}
    try:
        options = registry.options_model(registered).model_validate_json(json.dumps(values))
    except ValidationError as error:
        names = sorted({str(detail["loc"][0]) for detail in error.errors() if detail["loc"]})
        raise LatteError(
            f"{registered.package} does not accept the options ({', '.join(names)}) with which "
            "this run loaded its original CLIP",
            where=where,
            hint=f"install the version that the run used, {_USE_ADAPTED}",
        ) from error
    context = unbound_context(run.recipe_path.parent, registry)
    context = replace(context, device=device, seed=run.recipe["seed"], progress=progress)
    return cast("BackboneLoader[Any]", registry.build(registered, options, context))


def _expanded(value: Any, run: Run, option: str) -> Any:
    """Return an option with the values of its environment variables, such as a token."""
    if isinstance(value, Mapping):
        return {key: _expanded(below, run, option) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_expanded(item, run, option) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return expand_variables(value, os.environ).text
    except UnsetVariableError as error:
        raise LatteError(
            f"the environment variable {error.name} is not set, and this run's backbone.{option} "
            "needs it",
            where=str(run.folder.path),
            hint=f"set it: export {error.name}=..., {_USE_ADAPTED}",
        ) from error


@contextmanager
def _naming_repair(run: Run) -> Iterator[None]:
    """Add the run folder and a fix to a `LatteError` that lacks them, as for missing weights."""
    try:
        yield
    except LatteError as error:
        where, first_place = (
            error.where or str(run.folder.path),
            Path(run.record.source.recipe).parent,
        )
        moved = f"the run was made in {first_place}: move it together with its recipe and weights"
        is_here = exists(run.recipe_path.parent)
        hint = error.hint or f"{'put them back' if is_here else moved}, {_USE_ADAPTED}"
        raise LatteError(error.what, where=where, hint=hint) from error
