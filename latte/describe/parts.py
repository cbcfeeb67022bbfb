"""The files of a description store: `part-*.jsonl`, each written by one process and only once."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import UnionType
from typing import Any

from latte.interfaces import LatteError

SCHEMA = 1
_KINDS: Mapping[str, type | UnionType] = {
    "key": str,
    "text": str | None,
    "failure": str | None,
    "describer": str,
    "prompt": str,
    "images": list,
    "layout": str,
    "sample": int,
}


def part_files(folder: Path) -> list[Path]:
    """All parts, in the order in which they are read: of two texts under one key the first wins."""
    return sorted(folder.glob("part-*.jsonl"))


def part_name() -> str:
    """A name that no other process has, on this machine or another."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:40] or "host"
    return f"part-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"


def new_part(folder: Path) -> FileIO:
    """An empty part of `folder`, open for appending."""
    folder.mkdir(parents=True, exist_ok=True)
    file = FileIO(str(folder / part_name()), "xb")
    _sync_folder(folder)
    return file


def complete_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """The lines of `path` from the byte `start` on.

    A last one without its end of line is left out: it was torn, or is being written.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError as error:
        raise LatteError(
            f"stored descriptions cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The record that `line` holds, or None for a line that is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    if not {"key", "text"} <= record.keys() or not all(
        isinstance(value, _KINDS.get(name, object)) for name, value in record.items()
    ):
        return None
    if not all(isinstance(image, str) for image in record.get("images", ())):
        return None
    return record


def _sync_folder(folder: Path) -> None:
    """Make the new file's name as durable as its content, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
