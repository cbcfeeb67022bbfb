"""Read and write `metrics.jsonl`: one row per step and per epoch, without times.

Each row has an `event`. A `step` row has `step`, `epoch` and, per learner, `loss`, `learning_rate`,
`logit_scale` and `agreement`. An `epoch` row has `epoch`, `step` and, with labels, `top1`,
`confidence` and `margin`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latte import distributed
from latte.interfaces import LatteError
from latte.io.files import write_text

_LARGEST = 1e100
_MOST_STEPS = 2**53

Listen = Callable[[Sequence[Mapping[str, Any]]], None]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return all complete rows; a last line that a crash truncated is skipped.

    Raises `LatteError` at the first invalid line.
    """
    if not path.exists():
        return []
    rows = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(_row(line))
        except (ValueError, RecursionError) as error:
            what = f"this line is no row of metrics ({error})"
            hint = "remove the run folder to start again; descriptions are kept elsewhere"
            raise LatteError(what, where=f"{path}:{number}", hint=hint) from error
    return rows


class MetricsLog:
    """Writer of `metrics.jsonl` for a run that continues after step `last_step`.

    Rows of steps after `last_step` are removed from the file. Only the main process writes rows,
    and it calls `listen` with the rows after writing them.
    """

    def __init__(self, path: Path, last_step: int, listen: Listen | None = None) -> None:
        self._path = path
        self._listen = listen
        if not distributed.is_main_process():
            return
        rows = [row for row in read_metrics(path) if row["step"] <= last_step] if last_step else []
        write_text(path, "".join(_line(row) for row in rows))

    def append(self, rows: list[Mapping[str, Any]]) -> None:
        """Append `rows` to the file, flush them to the disk, then pass the rows to `listen`.

        A checkpoint that follows is thus never on the disk without the rows of its steps.
        """
        if not distributed.is_main_process():
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(_line(row) for row in rows)
            file.flush()
            os.fsync(file.fileno())
        if self._listen is not None:
            self._listen(rows)


def _row(line: bytes) -> dict[str, Any]:
    """Parse a line. Raises `ValueError` if it is not a row of metrics."""
    row = json.loads(line)
    if not isinstance(row, dict) or row.get("event") not in ("step", "epoch"):
        raise ValueError("it is neither a step nor an epoch")
    if not all(type(row.get(name)) is int for name in ("step", "epoch")):
        raise ValueError("its step or epoch is not a whole number")
    if not all(isinstance(value, int | float) for name, value in row.items() if name != "event"):
        raise ValueError("a figure is not a number")
    # A loss may be large, infinite or NaN shortly before training stops with an error.
    if any(_LARGEST < abs(value) < math.inf for name, value in row.items() if name != "event"):
        raise ValueError("a figure is too large")
    if max(row["step"], row["epoch"]) > _MOST_STEPS:
        raise ValueError("its step or epoch is too large")
    return row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
