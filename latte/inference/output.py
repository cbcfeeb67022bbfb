"""Rows that are kept as they come: a file that has its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from latte.evaluate.predictions import (
    PLAIN,
    Columns,
    Prediction,
    PredictionFormat,
    stream_predictions,
)
from latte.interfaces import LatteError


class Interrupted(LatteError):  # noqa: N818 - nothing went wrong
    """Somebody pressed Ctrl-C."""

    exit_code = 130


def partial_path(path: Path) -> Path:
    """Where rows lie until they are complete."""
    return path.with_name(f"{path.name}.partial")


def write_rows(
    path: Path,
    rows: Iterable[Prediction],
    format: PredictionFormat,
    columns: Columns = PLAIN,
) -> None:
    """Write each row as it comes to `PATH.partial`, which takes `path`'s place at the end.

    However this ends before, the rows so far stay in `PATH.partial`; a file at `path` stays as it
    was. Raises `Interrupted` for Ctrl-C, and `LatteError` for what cannot be written.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="") as file:
            stream_predictions(file, rows, format, columns)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except KeyboardInterrupt:
        raise Interrupted("stopped by Ctrl-C", hint=f"the rows so far are in {partial}") from None
    except OSError as error:
        raise LatteError(
            f"cannot be written: {error.strerror}", where=str(partial), hint=_kept(partial)
        ) from error


def _kept(partial: Path) -> str | None:
    return "the rows so far are in it" if partial.is_file() else None
