"""Summaries of finished runs for comparisons, read without torch or plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte.interfaces import Evaluation, Interval, LatteError, RunModel, Verdict
from latte.io.files import digest_json
from latte.io.redaction import without_secrets
from latte.recipe.component import is_label
from latte.recipe.oracle import is_oracle
from latte.recipe.places import SHORT, dotted
from latte.results.folder import PREVIOUS, RunFolder
from latte.results.identity import NOT_IDENTITY
from latte.results.run import Run as RunFiles

NOT_COMPARED = ("name", "seed", "oracle", "deterministic", *NOT_IDENTITY)
"""Recipe keys that do not count as settings when runs are compared."""

INPUTS = "inputs"
"""Name of the setting whose value is a digest of the images, labels and CLIP weights."""


@dataclass(frozen=True)
class Data:
    """The labelled images that a run was evaluated on."""

    name: str
    """The dataset component's name, without its package."""
    images: int
    digest: str
    """Digest of the number of classes and of ids, contents and labels, independent of the order."""


@dataclass(frozen=True)
class Score:
    """One classifier's top-1 accuracy and its gain over zero-shot on the same images."""

    top1: float
    gain: Interval


@dataclass(frozen=True)
class Run:
    """Summary of one finished run for comparisons."""

    folder: Path
    method: str
    seed: int
    data: Data
    settings: Mapping[str, Any]
    """All other settings that the results depend on, by dotted key."""
    zero_shot: float | None
    """Top-1 accuracy; None, as is `adapted`, if there is no evaluation split."""
    adapted: Score | None
    controls: Mapping[str, Run]
    oracle: bool
    seconds: Mapping[str, float]
    peak_memory_mb: float | None
    own: Score | None = None
    """The posterior's score on test images that are also training images."""
    own_images: int = 0
    verdict: Verdict | None = None
    candidate: Score | None = None


def read_run(path: Path) -> Run:
    """Read the run in the folder `path`. Raises `LatteError` for an unfinished or damaged run."""
    files = RunFiles(RunFolder(path))
    try:
        if files.folder.results.finished("evaluate") is None:
            known = files.folder.results.exists()
            hint = f"finish it: {files.repeat_command() if known else 'latte run RECIPE'}"
            raise LatteError("this run is not finished", where=str(path), hint=hint)
        return _summary(files)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        what = f"this run folder is broken ({type(error).__name__}: {error})"
        raise LatteError(what, where=str(path)) from error


def read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[LatteError]]:
    """Return the finished runs in `paths`, each once, and an error per skipped folder.

    Raises `LatteError` if no run is usable.
    """
    folders, skipped = run_folders(paths)
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except LatteError as error:
            skipped.append(error)
    if not runs:
        raise _no_run(skipped)
    return runs, skipped


def run_folders(paths: Iterable[Path]) -> tuple[list[Path], list[LatteError]]:
    """Return the run folders in `paths`, each once, and an error per path without a run folder."""
    found: dict[Path, Path] = {}
    skipped = []
    for path in paths:
        below = [path] if _is_run(path) or not path.is_dir() else sorted(path.iterdir())
        # A moved run is compared only if it is named, because its successor is there too.
        folders = [one for one in below if _is_run(one) and (one == path or one.suffix != PREVIOUS)]
        if not folders:
            what = "holds no run folders" if path.is_dir() else "there is no such folder"
            skipped.append(LatteError(what, where=str(path)))
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    if not found:
        raise _no_run(skipped)
    return list(found.values()), skipped


def _no_run(skipped: Sequence[LatteError]) -> LatteError:
    hint = "\n  ".join([*map(str, skipped), "Finish one first: latte run RECIPE"])
    return LatteError("there is no finished run", hint=hint)


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").is_file()


def _summary(files: RunFiles) -> Run:
    recipe, record = files.recipe, files.record
    records = record.stages
    zero_shot, adapted = (record.evaluate.model(name) for name in ("zero-shot", "adapted"))
    data, used = _data(files, zero_shot), record.used_model
    is_whole = record.train.used == "adapted"
    memory = [one.peak_memory_mb for one in records.values() if one.peak_memory_mb is not None]
    return Run(
        folder=files.folder.path,
        method=str(recipe["name"]),
        seed=int(recipe["seed"]),
        data=data,
        settings=_settings(files),
        zero_shot=zero_shot.classifier.top1.value if zero_shot and zero_shot.classifier else None,
        adapted=_score(used.classifier) if used else None,
        controls=_controls(files, data),
        oracle=is_oracle(recipe),
        seconds={stage: float(record.seconds) for stage, record in records.items()},
        peak_memory_mb=max(memory, default=None),
        own=_score(adapted.own_images) if adapted and is_whole else None,
        own_images=adapted.own_images.images if adapted and adapted.own_images and is_whole else 0,
        verdict=record.train.verdict,
        candidate=_score(adapted.classifier) if adapted and not is_whole else None,
    )


def _data(files: RunFiles, zero_shot: RunModel | None) -> Data:
    name = str(files.recipe["dataset"]["use"]).rpartition("/")[2]
    path = files.folder.evaluation_images
    lines = sorted(path.read_text(encoding="utf-8").splitlines())
    if zero_shot is None or zero_shot.classifier is None:
        return Data(name, len(lines), digest_json([lines, None]))
    main, own = zero_shot.classifier, zero_shot.own_images
    if len(lines) not in (main.images, main.images + (own.images if own else 0)):
        raise ValueError(f"{path.name} is about {len(lines)} images")
    # A classifier may be measured on a part of the split only, without training images. The digest
    # then differs from that of a run on the whole split, so the two runs are not compared.
    part = [] if len(lines) == main.images else [main.images]
    return Data(name, main.images, digest_json([lines, len(main.classes), *part]))


def _score(evaluation: Evaluation | None) -> Score | None:
    if evaluation is None:
        return None
    return Score(evaluation.top1.value, evaluation.gain or Interval(0, 0, 0))


def _settings(files: RunFiles) -> dict[str, Any]:
    compared = {key: value for key, value in files.recipe.items() if key not in NOT_COMPARED}
    return {
        **{_short(key, compared): one for key, one in flattened(without_secrets(compared)).items()},
        "limit": files.record.source.limit,
        "latte": files.record.environment["latte"],
        **flattened(files.record.environment["plugins"], "plugins"),
        # This fingerprint covers images, labels and weights by their content.
        INPUTS: files.record.stages["zero-shot"].fingerprint,
    }


def _controls(files: RunFiles, data: Data) -> dict[str, Run]:
    """Return, by name, the finished control runs of a recipe that were evaluated on `data`."""
    found = {}
    for name in filter(is_label, map(str, files.recipe.get("controls") or {})):
        # Older run folders belong to earlier versions of the control run's recipe.
        recipes = (files.folder.controls / name).glob("*/recipe.yaml")
        by_time = sorted(recipes, key=lambda path: path.stat().st_mtime_ns)
        try:
            run = read_run(by_time[-1].parent) if by_time else None
        except LatteError:
            continue
        if run and run.adapted and run.data == data:
            found[name] = run
    return found


def _short(key: str, recipe: Mapping[str, Any]) -> str:
    """Return a dotted key in the short form of recipes with a single learner or describer."""
    for name, path in SHORT.items():
        full, items = dotted(path), recipe.get(str(path[0])) or ()
        if len(items) == 1 and (key == full or key.startswith(f"{full}.")):
            return name + key[len(full) :]
    return key


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Flatten `{"a": {"b": 1}}` to `{"a.b": 1}`; a list without mappings stays one value."""
    if isinstance(value, Mapping) and value:
        inner = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        inner = [(str(index), child) for index, child in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, child in inner:
        found |= flattened(child, f"{path}.{key}" if path else key)
    return found
