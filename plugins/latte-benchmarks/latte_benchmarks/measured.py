"""Read from a run folder what a comparison shows: accuracies, settings, time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latte.api import Evaluation, Interval, LatteError, RunModel, RunRecord, digest, without_secrets
from latte.api.runs import NOT_IDENTITY, Run, find_runs, is_oracle, open_run

NOT_COMPARED = ("name", "seed", "oracle", "deterministic", *NOT_IDENTITY)
"""Recipe keys that do not count as settings when runs are compared."""

INPUTS = "inputs"
"""Name of the setting whose value is a digest of the images, labels and CLIP weights."""

ADAPTED = "adapted"
"""Name of the model that a run uses."""
IN_FULL = "adapted in full"
"""Name of the adapted model if the run uses a mix, or zero-shot CLIP."""
OWN_IMAGES = ", own images"
"""End of the name of a score on test images that are also training images."""
ORACLE = "oracle"
"""Mark of results that used ground-truth labels of their training images."""
CORRECTED = "corrected"
"""Mark of runs that trained on labels from a person (`corrections`)."""


_NO_GAIN = Interval(0, 0, 0)


@dataclass(frozen=True)
class EvaluatedDataset:
    """The labelled images that a run was evaluated on."""

    name: str
    images: int
    digest: str
    """Digest of the number of classes and of ids, contents and labels, independent of the order."""


@dataclass(frozen=True)
class ModelScore:
    """Top-1 accuracy of one model of a run, and its gain over zero-shot on the same images."""

    model: str
    """`adapted` for the model that the run uses; else `adapted in full` or `control NAME`."""
    top1: float
    gain: Interval
    images: int
    settings: str = ""
    """Digest of the values that a control changes."""


@dataclass(frozen=True)
class MeasuredRun:
    """One finished run: its settings, and the scores of its models."""

    folder: Path
    method: str
    """Name of the recipe without the dataset's name, as `flyp` of the recipe `flyp-dtd`."""
    seed: int
    dataset: EvaluatedDataset
    settings: Mapping[str, Any]
    """All other settings that the results depend on, by dotted key."""
    marks: tuple[str, ...]
    outcome: str | None
    """The guard's verdict in words; None if the recipe has no guard."""
    zero_shot: float | None
    """Top-1 accuracy; None if there are no labelled images."""
    scores: tuple[ModelScore, ...]
    seconds: float
    peak_memory_mb: float | None


def read_runs(paths: Iterable[Path]) -> tuple[list[MeasuredRun], list[LatteError]]:
    """Return the finished runs in `paths`, each once, and an error per skipped folder.

    Raises `LatteError` if no run is usable.
    """
    runs: dict[Path, MeasuredRun] = {}
    skipped = []
    for path in paths:
        folders = find_runs(path)
        if not folders:
            what = "holds no run folders" if path.is_dir() else "there is no such folder"
            skipped.append(LatteError(what, where=str(path)))
        for folder in folders:
            try:
                if folder.resolve() not in runs:
                    runs[folder.resolve()] = read_run(folder)
            except LatteError as error:
                skipped.append(error)
    if not runs:
        hint = "\n  ".join([*map(str, skipped), "Finish one first: latte run RECIPE"])
        raise LatteError("there is no finished run", hint=hint)
    return [*runs.values()], skipped


def read_run(folder: Path) -> MeasuredRun:
    """Read the run in `folder`. Raises `LatteError` for an unfinished or damaged run."""
    run = open_run(folder)
    if "evaluate" not in run.record.stages:
        hint = f"finish it: {run.repeat_command()}"
        raise LatteError("this run is not finished", where=str(folder), hint=hint)
    try:
        return _measured(folder, run)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        what = f"this run folder is broken ({type(error).__name__}: {error})"
        raise LatteError(what, where=str(folder)) from error


def _measured(folder: Path, run: Run) -> MeasuredRun:
    recipe, record = run.recipe, run.record
    model = record.evaluate.model("zero-shot")
    zero_shot = model.classifier if model else None
    dataset = _dataset(run, model)
    stages, verdict = record.stages.values(), record.judge.verdict
    memory = [stage.peak_memory_mb for stage in stages if stage.peak_memory_mb is not None]
    marks = {
        ORACLE: is_oracle(recipe),
        CORRECTED: recipe.get("corrections") is not None,
    }
    return MeasuredRun(
        folder=folder,
        method=_method(str(recipe["name"]), dataset.name),
        seed=int(recipe["seed"]),
        dataset=dataset,
        settings=_settings(run),
        marks=tuple(mark for mark, applies in marks.items() if applies),
        outcome=verdict.outcome if verdict else None,
        zero_shot=zero_shot.top1.value if zero_shot else None,
        scores=(*_scores(record), *_control_scores(record)),
        seconds=sum(stage.seconds for stage in stages),
        peak_memory_mb=max(memory, default=None),
    )


def _scores(record: RunRecord) -> list[ModelScore]:
    """Return the scores of the model that the run uses, then of the adapted model if it differs."""
    models = {ADAPTED: record.used_model}
    if record.judge.used != "adapted":
        models[IN_FULL] = record.evaluate.model("adapted")
    return [
        _score(name + end, evaluation)
        for name, model in models.items()
        if model is not None
        for end, evaluation in _accuracies(model)
    ]


def _score(model: str, evaluation: Evaluation) -> ModelScore:
    return ModelScore(model, evaluation.top1.value, evaluation.gain or _NO_GAIN, evaluation.images)


def _accuracies(model: RunModel) -> Iterator[tuple[str, Evaluation]]:
    if model.classifier is not None:
        yield "", model.classifier
    if model.own_images is not None and model.role != "zero-shot":
        yield OWN_IMAGES, model.own_images


def _dataset(run: Run, zero_shot: RunModel | None) -> EvaluatedDataset:
    name = str(run.recipe["dataset"]["use"]).rpartition("/")[2]
    path = run.folder.evaluation_images
    lines = sorted(path.read_text(encoding="utf-8").splitlines())
    if zero_shot is None or zero_shot.classifier is None:
        return EvaluatedDataset(name, len(lines), digest_json([lines, None]))
    images, training = zero_shot.classifier.images, zero_shot.own_images
    if len(lines) not in (images, images + (training.images if training else 0)):
        raise ValueError(f"{path.name} is about {len(lines)} images")
    # A model may be measured on a part of the split only, without training images. The digest then
    # differs from that of a run on the whole split, so the two runs are not compared.
    part = [] if len(lines) == images else [images]
    return EvaluatedDataset(
        name, images, digest_json([lines, len(run.record.data.class_names), *part])
    )


def _control_scores(record: RunRecord) -> list[ModelScore]:
    """Return the scores of the models that the recipe's controls use."""
    controls, scores = record.recipe.get("controls") or {}, []
    for model in record.evaluate.models:
        changes = controls.get(model.name) or {}
        if model.role != "control" or model.classifier is None:
            continue
        oracle = is_oracle({"oracle": is_oracle(record.recipe), **changes})
        name = f"control {model.name}" + (f" ({ORACLE})" if oracle else "")
        score = _score(name, model.classifier)
        scores.append(replace(score, settings=digest_json(without_secrets(changes))))
    return scores


def _settings(run: Run) -> dict[str, Any]:
    compared = {key: value for key, value in run.recipe.items() if key not in NOT_COMPARED}
    environment = run.record.environment
    return {
        **flattened(without_secrets(compared)),
        "limit": run.record.source.limit,
        "latte": environment["latte"],
        **flattened(environment["plugins"], "plugins"),
        # This fingerprint covers images, labels and weights by their content.
        INPUTS: run.record.stages["zero-shot"].fingerprint,
    }


def _method(recipe: str, dataset: str) -> str:
    """Return a recipe's name without the name of its dataset, as `flyp` of `flyp-dtd`."""
    plain_recipe, plain_dataset = plain_name(recipe), plain_name(dataset)
    if plain_recipe.endswith(f"-{plain_dataset}"):
        return recipe[: -len(dataset) - 1]
    return recipe[len(dataset) + 1 :] if plain_recipe.startswith(f"{plain_dataset}-") else recipe


def plain_name(name: str) -> str:
    """Return a name in lower case and with `-` in place of `_`, to find equal names."""
    return name.lower().replace("_", "-")


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Flatten `{"a": {"b": 1}}` to `{"a.b": 1}`; a list without mappings stays one value."""
    if isinstance(value, Mapping) and value:
        children = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        children = [(str(index), child) for index, child in enumerate(value)]
    else:
        return {path: value}
    values: dict[str, Any] = {}
    for key, child in children:
        values |= flattened(child, f"{path}.{key}" if path else key)
    return values


def digest_json(value: Any) -> str:
    """Return a digest of plain data; the order of keys does not change it."""
    return digest(json.dumps(value, sort_keys=True))
