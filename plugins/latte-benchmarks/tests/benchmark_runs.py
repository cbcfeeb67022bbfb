"""Run folders made by hand: the few files of a finished run that a comparison reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STAGES = ("data", "zero-shot", "describe", "train", "judge", "evaluate", "report")
SECONDS = (1.0, 2.0, 30.0, 60.0, 1.0, 3.0, 3.0)
"""Wall-clock seconds of these stages: 100 in all."""
RECORD = "results.json"


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

    `right` has the right answers of zero-shot and adapted; None stands for no labels. `changed` is
    the number of images on which only one of them is right.
    """
    resolved = recipe(**(settings or {}))
    images = images if right else 0
    lines = [
        json.dumps({"id": f"{number}.jpg", "key": f"{number:032x}", "label": 0})
        for number in range(first_image, first_image + images)
    ]
    write(path / "recipe.yaml", json.dumps(resolved))
    write(path / "data" / "evaluation.jsonl", "".join(f"{line}\n" for line in lines))
    records = {
        stage: {"fingerprint": inputs, "seconds": seconds}
        for stage, seconds in zip(STAGES, SECONDS, strict=True)
        if stage in stages
    }
    record = {
        "source": {"recipe": "animals.yaml", "limit": limit, "values": resolved},
        "environment": {"latte": version, "plugins": {"latte-clip": version}},
        "stages": records,
        "data": {"class_names": ["animal"]},
        "evaluate": {"models": _models(*right, images, changed) if right else []},
    }
    write(path / RECORD, json.dumps(record))
    return path


def _models(
    right_before: int, right_after: int, images: int, changed: int | None
) -> list[dict[str, Any]]:
    gain = (right_after - right_before) / images
    differing = abs(right_after - right_before) if changed is None else changed
    reach = 1.96 * math.sqrt(max(differing / images - gain**2, 0) / images)
    interval = {"value": gain, "low": max(gain - reach, -1), "high": min(gain + reach, 1)}
    return [
        _model("zero-shot", right_before, images, None),
        _model("adapted", right_after, images, interval),
    ]


def _model(name: str, right: int, images: int, gain: dict[str, float] | None) -> dict[str, Any]:
    share = right / images
    classifier = {
        "images": images,
        "top1": {"value": share, "low": max(share - 0.03, 0), "high": min(share + 0.03, 1)},
        "top5": 1.0,
        "mean_per_class": share,
        "classes": [{"correct": right, "images": images}],
        "gain": gain,
    }
    return {"name": name, "role": name, "classifier": classifier}


def write(path: Path, text: str) -> None:
    """Write a file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def recorded(folder: Path, *place: str | int) -> Any:
    """Return the value at `place`, such as `("judge", "verdict")`, of a run's record."""
    value = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    for key in place:
        value = value[key]
    return value


def record(folder: Path, place: Sequence[str | int], value: Any) -> None:
    """Write `value` at `place` of a run's record."""
    data = recorded(folder)
    target = data
    for key in place[:-1]:
        target = target.setdefault(key, {}) if isinstance(target, dict) else target[key]
    target[place[-1]] = value
    write(folder / RECORD, json.dumps(data))


def set_model(folder: Path, role: str, right: int) -> None:
    """Make a model right on this number of the 1,000 images; a model `mixed` is added."""
    models = {model["role"]: model for model in recorded(folder, "evaluate", "models")}
    gain = right / 1000 - models["zero-shot"]["classifier"]["top1"]["value"]
    interval = {"value": gain, "low": gain - 0.02, "high": gain + 0.02}
    models[role] = _model(role, right, 1000, interval)
    record(folder, ("evaluate", "models"), [*models.values()])


def add_control(folder: Path, name: str, right: int) -> None:
    """Add a control that is right on this number of the 1,000 images."""
    models = recorded(folder, "evaluate", "models")
    gain = right / 1000 - models[0]["classifier"]["top1"]["value"]
    interval = {"value": gain, "low": gain - 0.01, "high": gain + 0.01}
    control = {**_model(name, right, 1000, interval), "role": "control"}
    record(folder, ("evaluate", "models"), [*models, control])


def set_peak_memory(folder: Path, megabytes: float) -> None:
    """Record this peak memory for stage `train`, and half of it for the other stages."""
    for stage in recorded(folder, "stages"):
        memory = megabytes if stage == "train" else megabytes / 2
        record(folder, ["stages", stage, "peak_memory_mb"], memory)
