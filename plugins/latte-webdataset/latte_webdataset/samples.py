"""Index a tar's samples and the positions of their files; only headers are read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from latte.api import LatteError

Span = tuple[int, int]
"""Offset and size of a member in the tar, in bytes."""

_LARGEST_TEXT = 2**24
"""Largest size in bytes of a label, and of an extended header of a tar."""


@dataclass
class TarSample:
    """Sample of a tar: all members with the same key."""

    key: str
    """Path of the sample's members, up to the first dot of the file name."""
    files: dict[str, Span] = field(default_factory=dict)
    """Positions of the members by extension: the text after the first dot, in lower case."""

    def image(self, extensions: Collection[str], shard: Path) -> tuple[str, Span] | None:
        """Return extension and position of the only image; None without an image."""
        image_files = [(name, span) for name, span in self.files.items() if name in extensions]
        if len(image_files) > 1:
            raise LatteError(
                f"sample {self.key} has several images: "
                f"{', '.join(name for name, _ in image_files)}",
                where=str(shard),
                hint="Name the one to take: images: [jpg]",
            )
        return image_files[0] if image_files else None


def read_index(shard: Path) -> list[TarSample]:
    """Return the samples of a tar. Raises `LatteError` if it is compressed or damaged."""
    samples: dict[str, TarSample] = {}
    try:
        with _Headers(io.FileIO(shard)) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                _add(samples, member, shard)
            file.seek(tar.offset)  # iteration also ends at an invalid header and a missing end
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(
                    f"neither a header nor the tar's end is at byte {tar.offset:,}"
                )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise LatteError(
            f"cannot be read as an uncompressed tar: {error}",
            where=str(shard),
            hint="Uncompress it if it is compressed (gunzip); if it was cut short, get it again.",
        ) from error
    return [*samples.values()]


def read_span(shard: Path, span: Span) -> bytes:
    """Return the bytes of a label; raise `LatteError` if it is unreadable or too large."""
    if span[1] > _LARGEST_TEXT:
        raise LatteError(
            f"a label has {span[1]:,} bytes, more than the {_LARGEST_TEXT:,} that are read",
            where=str(shard),
        )
    try:
        with shard.open("rb") as file:
            file.seek(span[0])
            return file.read(span[1])
    except OSError as error:
        raise LatteError(f"cannot be read: {error.strerror}", where=str(shard)) from error


class _Headers(io.BufferedReader):
    """Tar of which only headers are read. Raises `ReadError` for a header that is too large."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_TEXT:
            raise tarfile.ReadError(f"a header has {size:,} bytes")
        return super().read(size)


def _add(samples: dict[str, TarSample], member: tarfile.TarInfo, shard: Path) -> None:
    folder, slash, name = member.name.rpartition("/")
    stem, dot, extension = name.partition(".")
    if not member.isreg() or member.issparse() or not stem or not dot:
        return
    sample = samples.setdefault(folder + slash + stem, TarSample(folder + slash + stem))
    if extension.lower() in sample.files:
        raise LatteError(f"{member.name} is in it twice", where=str(shard))
    sample.files[extension.lower()] = (member.offset_data, member.size)
