"""Small Hugging Face datasets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

NAMES = ["red_thing", "green_thing", "blue_thing"]


def picture(label: int, number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12 + number, 10), ("red", "green", "blue")[label]).save(buffer, "PNG")
    return buffer.getvalue()


def table(start: int, count: int, **columns: list[Any]) -> datasets.Dataset:
    """Rows with labels 0, 1, 2, 0, …"""
    numbers = range(start, start + count)
    content = {
        "image": [{"bytes": picture(n % 3, n), "path": None} for n in numbers],
        "label": [n % 3 for n in numbers],
        **columns,
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=NAMES),
            **{name: datasets.Value("string") for name in columns},
        }
    )
    return datasets.Dataset.from_dict(content, features=features)


def splits() -> datasets.DatasetDict:
    return datasets.DatasetDict({"train": table(0, 9), "test": table(20, 6)})


def write_saved(folder: Path) -> None:
    splits().save_to_disk(str(folder))


def write_parquet(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, split_table in splits().items():
        split_table.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
