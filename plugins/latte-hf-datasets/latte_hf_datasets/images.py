"""The images of a split as files: those that are files already, and copies of embedded ones."""

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
    """One reference a row, its id the split and the row's number; no label is read.

    An image that a row holds itself is copied to `folder` under its content's hash, once. One that
    a row names by its path must lie below one of `allowed`: somebody else may have written the
    table, and latte must not read (and perhaps send to a describer) what lies elsewhere.
    Raises `LatteError` for a row without an image, and for a path that leads elsewhere.
    """
    digits = max(len(str(len(table))), 6)
    roots = [root.resolve() for root in allowed]
    rows = table.select_columns([column])
    files = (_file(one[column], folder, roots, f"{split}[{row}]") for row, one in enumerate(rows))
    return [ImageReference(f"{split}/{row:0{digits}}", file) for row, file in enumerate(files)]


def _file(image: dict[str, Any] | None, folder: Path, roots: Sequence[Path], where: str) -> Path:
    data, path = (image or {}).get("bytes"), (image or {}).get("path")
    if data:
        return _copied(data, folder)
    if not path:
        raise LatteError("the row has no image", where=where)
    if not any(Path(path).resolve().is_relative_to(root) for root in roots):
        raise LatteError(
            f"the row names {path}, which lies outside {', '.join(map(str, roots))}",
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
