"""Read and change `results.json`, the record of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latte.interfaces import Evaluation, RunResults

RECORD = "results.json"


def recorded(folder: Path, *place: str | int) -> Any:
    """Return the value at `place`, such as `("evaluate", "models")`, of a run's record."""
    value = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    for key in place:
        value = value[key]
    return value


def record(folder: Path, place: Sequence[str | int], value: Any) -> None:
    """Write `value` at `place` of a run's record; the record may be new."""
    path = folder / RECORD
    data = recorded(folder) if path.exists() else {}
    target = data
    for key in place[:-1]:
        target = target.setdefault(key, {}) if isinstance(target, dict) else target[key]
    target[place[-1]] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")


def accuracies(results: RunResults) -> dict[str, Evaluation]:
    """Return the accuracies that a run measured, by title, such as `adapted, own images`."""
    models = results.record.evaluate.models
    return {title: evaluation for model in models for title, evaluation in model.accuracies()}
