"""Files of a run folder that latte reads again, and ways to damage a file."""

from __future__ import annotations

from pathlib import Path

JSON_FILES = (
    "results.json",
    "profile.json",
    "metrics.jsonl",
    "descriptions.jsonl",
    "uncertain.jsonl",
    "review.jsonl",
    "data/training.jsonl",
    "data/evaluation.jsonl",
)
"""Files in the folder of `finished_run` whose fields are numbers, texts and truth values."""


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4 + b"\n\xff\xfe")


def gone(path: Path) -> None:
    path.unlink()
