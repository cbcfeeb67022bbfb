"""Run folders made by hand: the few files of a finished run that a comparison reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latte.evaluate.metrics import accuracy_interval, paired_gain_interval
from latte.recipe.dump import dump_yaml
from tests.helpers.records import record, recorded

STAGES = ("data", "zero-shot", "describe", "train", "evaluate", "report")
SECONDS = (1.0, 2.0, 30.0, 60.0, 4.0, 3.0)
"""Wall-clock seconds of these stages: 100 in all."""


def recipe(**changes: Any) -> dict[str, Any]:
    """Return the parts of a resolved recipe that comparisons read."""
    return {
        "name": "animals",
        "seed": 0,
        "output": "runs",
        "device": "auto",
        "dataset": {"use": "folder", "root": "photos"},
        "prototypes": {"use": "momentum", "momentum": 0.99},
        "train": {"batch_size": 64, "optimizer": {"learning_rate": 1e-6, "betas": [0.9, 0.98]}},
        "evaluate": {"batch_size": 64},
        **changes,
    }


def evaluation(
    before: int, after: int, images: int, changed: int | None = None
) -> list[dict[str, Any]]:
    """Return models: zero-shot has `before` images right, adapted `after`.

    `changed` is the number of images on which only one of them is right.
    """
    won = after - before if changed is None else (changed + after - before) // 2
    gain = paired_gain_interval(won, won - (after - before), images)
    return [_score("zero-shot", before, images, None), _score("adapted", after, images, vars(gain))]


def run_folder(
    path: Path,
    *,
    right: tuple[int, int] | None = (600, 640),
    images: int = 1000,
    settings: Mapping[str, Any] | None = None,
    first_image: int = 0,
    inputs: str = "0123456789abcdef",
    limit: int | None = None,
    changed: int | None = None,
    stages: Sequence[str] = STAGES,
    version: str = "0.1.0",
) -> Path:
    """Write a run of `recipe(**settings)`.

    `right` has the right answers of zero-shot and adapted; None stands for no labels.
    """
    resolved = recipe(**(settings or {}))
    images = images if right else 0
    lines = [
        json.dumps({"id": f"{number}.jpg", "key": f"{number:032x}", "label": 0})
        for number in range(first_image, first_image + images)
    ]
    scores = evaluation(*right, images, changed) if right else []
    write(path / "recipe.yaml", dump_yaml(resolved))
    write(path / "data" / "evaluation.jsonl", "".join(f"{line}\n" for line in lines))
    records = {
        stage: {"fingerprint": inputs, "seconds": seconds, "outputs": _outputs(stage)}
        for stage, seconds in zip(STAGES, SECONDS, strict=True)
        if stage in stages
    }
    whole = {
        "source": {"recipe": "animals.yaml", "limit": limit, "values": resolved},
        "environment": {"latte": version, "plugins": {"latte-clip": version}},
        "stages": records,
        "data": {"class_names": ["animal"]},
        "evaluate": {"models": scores},
    }
    write(path / "results.json", json.dumps(whole))
    return path


def write(path: Path, text: str) -> None:
    """Write a file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _outputs(stage: str) -> list[str]:
    return {"data": ["data/evaluation.jsonl"]}.get(stage, [])


def _score(name: str, right: int, images: int, gain: Any) -> dict[str, Any]:
    classifier = {
        "images": images,
        "top1": vars(accuracy_interval(right, images)),
        "top5": 1.0,
        "mean_per_class": right / images,
        "classes": [{"correct": right, "images": images}],
        "gain": gain,
    }
    return {"name": name, "role": name, "classifier": classifier}


def set_peak_memory(folder: Path, megabytes: float) -> None:
    """Record this peak memory for stage `train`, and half of it for the other stages."""
    for stage in recorded(folder, "stages"):
        memory = megabytes if stage == "train" else megabytes / 2
        record(folder, ["stages", stage, "peak_memory_mb"], memory)
