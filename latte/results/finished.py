"""What a finished run folder says about its run, read without the plugins that it used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from latte.interfaces import (
    OWN_IMAGES,
    ClassAccuracy,
    Evaluation,
    Interval,
    LatteError,
    Verdict,
)
from latte.io.files import digest_json
from latte.io.redaction import without_secrets
from latte.recipe.components import is_label
from latte.recipe.data_files import flattened, read_json, read_nodes
from latte.recipe.variables import AsWritten
from latte.results.evaluations import read_evaluations
from latte.results.folder import RunFolder
from latte.results.identity import NOT_IDENTITY, STAGES, is_oracle
from latte.results.verdict import read_verdict

NOT_COMPARED = ("name", "seed", "oracle", "deterministic", *NOT_IDENTITY)
"""Keys of a recipe that change where and how a run works or what is said about it, not what it
finds; name and seed, which rows are named and averaged by; and what marks an oracle."""

INPUTS = "inputs"
"""The setting that stands for images, labels and the CLIP's weights, whatever their names."""


@dataclass(frozen=True)
class Data:
    """The labelled images that a run was evaluated on."""

    name: str
    """The dataset component's name, without its package."""
    images: int
    digest: str
    """Of ids, contents and labels, in no order, and the number of classes."""


@dataclass(frozen=True)
class Score:
    """One classifier's top-1 accuracy and its gain over zero-shot on the same images."""

    top1: float
    gain: Interval


@dataclass(frozen=True)
class Run:
    """One finished run."""

    folder: Path
    method: str
    """The recipe's name."""
    seed: int
    data: Data
    settings: Mapping[str, Any]
    """Everything else that its results depend on, by dotted key."""
    zero_shot: float | None
    """Top-1; None without an evaluation split, as is `adapted`."""
    adapted: Score | None
    controls: Mapping[str, Run]
    oracle: bool
    """Whether it used ground-truth labels of its training images."""
    seconds: Mapping[str, float]
    """By stage, in order."""
    peak_memory_mb: float | None
    classes: Mapping[str, tuple[ClassAccuracy, ...]] = field(default_factory=dict)
    """Of `zero-shot` and `adapted`, in label order; empty without an evaluation split."""
    own: Score | None = None
    """The posterior's, on test images that are training images; None where there are none."""
    own_images: int = 0
    """How many of these there are."""
    verdict: Verdict | None = None
    """What its guard said; None without a guard."""
    candidate: Score | None = None
    """The candidate's, where the run did not take all of it."""

    def class_names(self) -> tuple[str, ...] | None:
        """In label order, as the run's prototypes have them; None where there are none."""
        path = RunFolder(self.folder).prototypes
        try:
            with safe_open(path, framework="np") as file:
                names = json.loads(file.metadata()["latte"])["class_names"]
        except (OSError, KeyError, TypeError, ValueError, RecursionError, SafetensorError):
            return None
        are_texts = isinstance(names, list) and all(isinstance(one, str) for one in names)
        return tuple(names) if are_texts else None


def read_run(path: Path) -> Run:
    """The run in the folder `path`. Raises `LatteError` for one that is unfinished or broken."""
    folder = RunFolder(path)
    try:
        _refuse_unfinished(folder)
        run = _read(folder)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise LatteError(
            f"this run folder is broken ({type(error).__name__}: {error})", where=str(path)
        ) from error
    return run


def _refuse_unfinished(folder: RunFolder) -> None:
    if folder.finished("evaluate") is None:
        recipe = read_json(folder.source)["recipe"] if folder.source.exists() else "RECIPE"
        raise LatteError(
            "this run is not finished",
            where=str(folder.path),
            hint=f"finish it with the command that began it: latte run {recipe}",
        )


def _read(folder: RunFolder) -> Run:
    recipe = read_nodes(folder.recipe, AsWritten()).plain()
    scores = {one.name: one for one in read_evaluations(folder)}
    data, own = _data(folder, recipe, scores), scores.get(f"adapted{OWN_IMAGES}")
    candidate = scores.get("candidate")
    return Run(
        folder=folder.path,
        method=str(recipe["name"]),
        seed=int(recipe["seed"]),
        data=data,
        settings=_settings(folder, recipe),
        zero_shot=scores["zero-shot"].top1.value if scores else None,
        adapted=_score(scores["adapted"]) if scores else None,
        controls=_controls(folder, recipe, data),
        oracle=is_oracle(recipe),
        seconds=_seconds(folder),
        peak_memory_mb=_peak_memory(folder),
        classes={name: scores[name].classes for name in ("zero-shot", "adapted") if scores},
        own=_score(own) if own else None,
        own_images=own.images if own else 0,
        verdict=read_verdict(folder),
        candidate=_score(candidate) if candidate else None,
    )


def _data(folder: RunFolder, recipe: Mapping[str, Any], scores: Mapping[str, Evaluation]) -> Data:
    name = str(recipe["dataset"]["use"]).rpartition("/")[2]
    lines = sorted(folder.evaluation_images.read_text(encoding="utf-8").splitlines())
    if not scores:
        return Data(name, len(lines), digest_json([lines, None]))
    main, own = scores["zero-shot"], scores.get(f"zero-shot{OWN_IMAGES}")
    if len(lines) not in (main.images, main.images + (own.images if own else 0)):
        raise ValueError(f"{folder.evaluation_images.name} is about {len(lines)} images")
    # Without its own images a run is measured on a part of the split, which is other data.
    part = [] if len(lines) == main.images else [main.images]
    return Data(name, main.images, digest_json([lines, len(main.classes), *part]))


def _score(found: Evaluation) -> Score:
    if found.gain is None:
        raise KeyError("gain")
    return Score(found.top1.value, found.gain)


def _settings(folder: RunFolder, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The fingerprint of stage `zero-shot` covers images, labels and weights by their content."""
    compared = {key: value for key, value in recipe.items() if key not in NOT_COMPARED}
    environment = read_json(folder.environment)
    zero_shot = folder.recorded("zero-shot")
    if zero_shot is None:
        raise KeyError("zero-shot")
    return {
        **flattened(without_secrets(compared)),
        "limit": read_json(folder.source)["limit"],
        "latte": environment["latte"],
        **flattened(environment["plugins"], "plugins"),
        INPUTS: zero_shot.fingerprint,
    }


def _controls(folder: RunFolder, recipe: Mapping[str, Any], data: Data) -> dict[str, Run]:
    """The recipe's own controls, where these are finished and saw the same images."""
    found = {}
    for name in filter(is_label, map(str, recipe.get("controls") or {})):
        run = _newest_run(folder.controls / name)
        if run and run.adapted and run.data == data:
            found[str(name)] = run
    return found


def _newest_run(folder: Path) -> Run | None:
    """A control that was changed leaves the folder of what it was; each start writes the recipe."""
    recipes = sorted(folder.glob("*/recipe.yaml"), key=lambda path: path.stat().st_mtime_ns)
    try:
        return read_run(recipes[-1].parent) if recipes else None
    except LatteError:
        return None


def _seconds(folder: RunFolder) -> dict[str, float]:
    records = {stage: folder.recorded(stage) for stage in STAGES}
    return {stage: float(record.seconds) for stage, record in records.items() if record}


def _peak_memory(folder: RunFolder) -> float | None:
    records = [folder.recorded(stage) for stage in STAGES]
    known = [one.peak_memory_mb for one in records if one and one.peak_memory_mb is not None]
    return max(known, default=None)


# Run folders among the folders that somebody names.


def read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[LatteError]]:
    """The finished runs in `paths`, each once, and why others were skipped.

    A path is a run folder, or a folder of run folders. Raises `LatteError` if there is no usable
    run at all.
    """
    folders, skipped = _run_folders(paths)
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except LatteError as error:
            skipped.append(error)
    if not runs:
        raise LatteError(
            "there is no finished run",
            hint="\n  ".join([*map(str, skipped), "Finish one first: latte run RECIPE"]),
        )
    return runs, skipped


def _run_folders(paths: Iterable[Path]) -> tuple[list[Path], list[LatteError]]:
    """By their real path, so that one that is named twice is there once."""
    found: dict[Path, Path] = {}
    skipped = []
    for path in paths:
        folders = _below(path)
        if not folders:
            what = "holds no run folders" if path.is_dir() else "there is no such folder"
            skipped.append(LatteError(what, where=str(path)))
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return list(found.values()), skipped


def _below(path: Path) -> list[Path]:
    if _is_run(path):
        return [path]
    return sorted(one for one in path.iterdir() if _is_run(one)) if path.is_dir() else []


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").is_file()
