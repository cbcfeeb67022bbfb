"""Labelled sets from which benchmarks draw folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from latte_tiny.dataset import IMAGES
from torch.nn.functional import normalize


def labelled_set(
    name: str, classes: int = 10, train: Sequence[int] | int = 40, test: int = 12, prefix: str = ""
) -> LabelledSet:
    """Return `train` images per class, scattered around the text features of their class."""
    generator = torch.Generator().manual_seed(sum(name.encode()))
    texts = normalize(torch.randn(classes, 16, generator=generator), dim=1)

    def images(counts: Sequence[int]) -> LabelledImages:
        labels = torch.arange(classes).repeat_interleave(torch.tensor(counts))
        noise = torch.randn(len(labels), 16, generator=generator)
        return LabelledImages(normalize(texts[labels] + 0.2 * noise, dim=1), labels)

    counts = [train] * classes if isinstance(train, int) else train
    names = tuple(f"{prefix or name} {number}" for number in range(classes))
    image_sets = images(counts), images([test] * classes)
    return LabelledSet(name, name, names, texts, 50.0, *image_sets, encode_names=_random_texts)


def _random_texts(names: Sequence[str]) -> torch.Tensor:
    """Return random text features of names."""
    generator = torch.Generator().manual_seed(len(names))
    return normalize(torch.randn(len(names), 16, generator=generator), dim=1)


def split_of(folder: Path, name: str, labels: Sequence[int]) -> Path:
    """Write a split of the classes `labels` of latte-tiny's photos; return its path."""
    full_split = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
    small_split = {
        part: [[path, labels.index(label), name] for path, label, name in rows if label in labels]
        for part, rows in full_split.items()
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(small_split), encoding="utf-8")
    return path
