"""Run folders made by hand: the few files of a finished run that readers need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latte.evaluate.metrics import accuracy_interval, paired_gain_interval
from latte.recipe.dump import dump_yaml

STAGES = ("data", "zero-shot", "describe", "train", "judge", "evaluate", "report")
IMAGES = 1000
"""Number of evaluation images of a run with labels."""


def run_folder(
    path: Path,
    *,
    right: tuple[int, int] | None = (600, 640),
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run with these values of the recipe.

    `right` has the right answers of zero-shot and adapted; None stands for no labels.
    """
    recipe = {"name": "animals", "seed": 0, "dataset": {"use": "folder"}, **(settings or {})}
    lines = [
        json.dumps({"id": f"{number}.jpg", "key": f"{number:032x}", "label": 0})
        for number in range(IMAGES if right else 0)
    ]
    write(path / "recipe.yaml", dump_yaml(recipe))
    write(path / "data" / "evaluation.jsonl", "".join(f"{line}\n" for line in lines))
    record = {
        "source": {"recipe": "animals.yaml", "values": recipe},
        "environment": {"latte": "0.1.0", "plugins": {}},
        "stages": {stage: {"fingerprint": "0123456789", "seconds": 1.0} for stage in STAGES},
        "data": {"class_names": ["animal"]},
        "evaluate": {"models": _models(*right) if right else []},
    }
    write(path / "results.json", json.dumps(record))
    return path


def _models(zero_shot_correct: int, adapted_correct: int) -> list[dict[str, Any]]:
    gain = paired_gain_interval(
        max(adapted_correct - zero_shot_correct, 0),
        max(zero_shot_correct - adapted_correct, 0),
        IMAGES,
    )
    return [
        _model("zero-shot", zero_shot_correct, None),
        _model("adapted", adapted_correct, vars(gain)),
    ]


def _model(name: str, right: int, gain: dict[str, float] | None) -> dict[str, Any]:
    classifier = {
        "images": IMAGES,
        "top1": vars(accuracy_interval(right, IMAGES)),
        "top5": 1.0,
        "mean_per_class": right / IMAGES,
        "classes": [{"correct": right, "images": IMAGES}],
        "gain": gain,
    }
    return {"name": name, "role": name, "classifier": classifier}


def write(path: Path, text: str) -> None:
    """Write a file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
