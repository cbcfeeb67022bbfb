"""Small WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

NAMES = ("red thing", "green thing", "Blue_Thing")
_COLOURS = ("red", "green", "blue")


def picture(label: int, number: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12 + number, 10), _COLOURS[label]).save(buffer, form)
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def samples(start: int, count: int, labels: str = "cls") -> dict[str, bytes]:
    """`count` samples with labels 0, 1, 2, 0, …: as numbers in .cls, or as names in .json."""
    members = {}
    for number in range(start, start + count):
        label = number % len(NAMES)
        members[f"{number:04}.png"] = picture(label, number)
        if labels == "cls":
            members[f"{number:04}.cls"] = f"{label}\n".encode()
        else:
            content = {"image_id": f"{number:04}", "class_name": NAMES[label].upper()}
            members[f"{number:04}.json"] = json.dumps(content).encode()
    return members


def write_benchmark(root: Path, labels: str = "cls") -> None:
    """CLIP_benchmark's layout: two shards for training, one for testing."""
    write_tar(root / "train" / "0.tar", samples(0, 5, labels))
    write_tar(root / "train" / "1.tar", samples(5, 4, labels))
    write_tar(root / "test" / "0.tar", samples(20, 6, labels))
    (root / "test" / "nshards.txt").write_text("1")
    (root / "classnames.txt").write_text("\n".join(NAMES) + "\n")
