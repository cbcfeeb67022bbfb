"""Ways to damage a file."""

from __future__ import annotations

from pathlib import Path


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4 + b"\n\xff\xfe")


def gone(path: Path) -> None:
    path.unlink()
