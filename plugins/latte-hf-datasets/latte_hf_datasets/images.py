"""Provide a split's images as files: existing files, or copies of embedded images."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latte.api import ImageReference, LatteError

_SIGNATURES = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def references(
    table: Any, column: str, split: str, folder: Path, allowed: Sequence[Path]
) -> list[ImageReference]:
    """Return one image reference per row; its id consists of the split and the row number.

    An embedded image is copied once to `folder`, named by its content hash. An image given by its
    path must be below one of the folders `allowed`. Otherwise an untrusted table could make latte
    send a private file to a describer. Raises `LatteError` for a path outside these folders, and
    for a row without an image.
    """
    digits = max(len(str(len(table))), 6)
    roots = [root.resolve() for root in allowed]
    rows = table.select_columns([column])
    files = (
        _file(cells[column], folder, roots, f"{split}[{row}]") for row, cells in enumerate(rows)
    )
    return [ImageReference(f"{split}/{row:0{digits}}", file) for row, file in enumerate(files)]


def _file(image: dict[str, Any] | None, folder: Path, roots: Sequence[Path], where: str) -> Path:
    data, path = (image or {}).get("bytes"), (image or {}).get("path")
    if data:
        return _copied(data, folder)
    if not path:
        raise LatteError("the row has no image", where=where)
    if not any(Path(path).resolve().is_relative_to(root) for root in roots):
        raise LatteError(
            f"the row names {path}, which is outside {', '.join(map(str, roots))}",
            where=where,
            hint="If that is right, name the folder that holds the images: files: FOLDER",
        )
    return Path(path)


def _copied(data: bytes, folder: Path) -> Path:
    name = hashlib.blake2b(data, digest_size=16).hexdigest()
    suffix = next((end for start, end in _SIGNATURES.items() if data.startswith(start)), "image")
    file = folder / name[:2] / f"{name}.{suffix}"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    return file
