"""Rows that are kept as they come: a file that has its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from latte.evaluate.predictions import Prediction, PredictionFormat, stream_predictions
from latte.interfaces import LatteError


class Interrupted(LatteError):  # noqa: N818 - nothing went wrong
    """Somebody pressed Ctrl-C."""

    exit_code = 130


def partial_path(path: Path) -> Path:
    """Where rows lie until they are complete."""
    return path.with_name(f"{path.name}.partial")


def write_rows(path: Path, rows: Iterable[Prediction], format: PredictionFormat) -> None:
    """Write each row as it comes to `PATH.partial`, which takes `path`'s place at the end.

    However this ends before, the rows so far stay in `PATH.partial`; a file at `path` stays as it
    was. Raises `Interrupted` for Ctrl-C.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    with partial.open("w", encoding="utf-8", newline="") as file:
        try:
            stream_predictions(file, rows, format)
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped by Ctrl-C", hint=f"the rows so far are in {partial}"
            ) from None
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
