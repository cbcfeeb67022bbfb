"""`metrics.jsonl`: what happened in each step and epoch, and nothing that depends on the clock.

Rows have an `event`: `step` (step, epoch, and by learner loss, learning_rate, logit_scale and
agreement) or `epoch` (epoch, step, and where labels exist top1). The same run writes the same
bytes, whether or not it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latte import processes
from latte.files import write_text
from latte.interfaces import LatteError

Listen = Callable[[Sequence[Mapping[str, Any]]], None]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete rows; a last line that a crash cut short is left out."""
    if not path.exists():
        return []
    rows = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise LatteError(
                "this line is not JSON",
                where=f"{path}:{number}",
                hint="remove the run folder to start again; descriptions are kept elsewhere",
            ) from error
    return rows


class MetricsLog:
    """Appends rows; opened for a run that continues after `last_step` steps.

    Of several processes the first writes.
    """

    def __init__(self, path: Path, last_step: int, listen: Listen | None = None) -> None:
        self._path = path
        self._listen = listen
        if not processes.is_first():
            return
        kept = [row for row in read_metrics(path) if row["step"] <= last_step] if last_step else []
        write_text(path, "".join(_line(row) for row in kept))

    def append(self, rows: list[Mapping[str, Any]]) -> None:
        """Write `rows` and hand them to the operating system, then to whoever listens."""
        if not processes.is_first():
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(_line(row) for row in rows)
        if self._listen is not None:
            self._listen(rows)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
