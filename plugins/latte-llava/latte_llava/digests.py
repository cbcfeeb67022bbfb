"""Digest of a model folder, with a cache so that unchanged files are read only once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from latte.api import write_text

SUFFIXES = frozenset((".json", ".safetensors", ".jinja", ".model", ".txt"))
"""Suffixes of files that affect the texts: configuration, weights, chat template, tokenizer."""


def folder_digest(folder: Path, cache: Path) -> str:
    """Return 32 hex digits: the hash of names and contents of the relevant files in `folder`.

    The digest of each file is cached in `cache` by the file's path, size and modification time.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in SUFFIXES and _is_visible(path, folder)
    )
    lines = [f"{path.relative_to(folder).as_posix()} {_known(path, cache)}" for path in files]
    return _hash("\n".join(lines).encode())


def _is_visible(path: Path, folder: Path) -> bool:
    return path.is_file() and not any(
        part.startswith(".") for part in path.relative_to(folder).parts
    )


def _known(path: Path, cache: Path) -> str:
    status = path.stat()
    label = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
    entry = cache / _hash(os.fsencode(label))
    if entry.is_file():
        return entry.read_text(encoding="ascii")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    write_text(entry, found)
    return found


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
