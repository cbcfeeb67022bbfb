"""Functions that read prototypes, images and texts from a run folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from latte.api import Classifier, GalleryEntry

PROTOTYPES = "models/adapted/prototypes.safetensors"
FILES = (
    PROTOTYPES,
    "zero_shot.safetensors",
    "pseudo_labels.csv",
    "descriptions.jsonl",
)


@dataclass(frozen=True)
class RunFiles:
    """Parts of a run folder that the report page shows; the run has N training images."""

    classifiers: Mapping[str, Classifier]
    """Prototypes by name of the learner."""
    features: Tensor
    """(N, D): frozen unit features of the training images."""
    labels: Tensor
    """(N,) int64: adapted pseudo-labels of the training images; -1 for an image of no class."""
    ids: tuple[str, ...]
    texts: Mapping[str, Mapping[str, str]]
    """Mapping from image id to {description name: text}; refusals are left out."""


def missing_files(folder: Path) -> list[str]:
    """Return the names in `FILES` that the run folder lacks."""
    return [name for name in FILES if not (folder / name).exists()]


def read_run(folder: Path, class_names: tuple[str, ...]) -> RunFiles:
    """Return the content of a finished run's folder."""
    class_of = {name: label for label, name in enumerate(class_names)}
    with (folder / "pseudo_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with safe_open(folder / "zero_shot.safetensors", framework="pt") as tensors:
        features = tensors.get_tensor("training")
    return RunFiles(
        classifiers=_classifiers(folder / PROTOTYPES),
        features=features,
        labels=torch.tensor([_label(row, class_of) for row in rows], dtype=torch.int64),
        ids=tuple(row["image"] for row in rows),
        texts=dict(_texts(folder / "descriptions.jsonl")),
    )


def _label(row: Mapping[str, str], class_of: Mapping[str, int]) -> int:
    """Return the adapted class of an image, or -1 if its label is "none of these"."""
    return class_of.get(row["adapted"], -1) if "match" in row else class_of[row["adapted"]]


def _classifiers(path: Path) -> dict[str, Classifier]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        learners = json.loads(file.metadata()["latte"])["learners"]
    return {
        name: Classifier(
            tensors[f"{name}.weights"], tensors[f"{name}.owners"], tensors.get(f"{name}.bias")
        )
        for name in learners
    }


def _texts(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            fields: dict[str, Any] = json.loads(line)
            descriptions = fields["descriptions"].items()
            # A description has a list of texts, or a single text.
            texts = {
                name: content["texts"] if "texts" in content else [content["text"]]
                for name, content in descriptions
            }
            first_texts = {
                name: next(filter(None, variants), None) for name, variants in texts.items()
            }
            yield fields["id"], {name: text for name, text in first_texts.items() if text}


class ImagePaths:
    """Finder of image files by image id.

    A run folder stores ids without paths. `RunResults.gallery` has ids and paths of some images. If
    such a path ends in the image's id, the rest of the path is the folder of all images.
    """

    def __init__(self, gallery: Iterable[GalleryEntry]) -> None:
        images = [entry.image for entry in gallery if entry.image.span is None]
        self._known = {image.id: image.path for image in images}
        self._roots = [
            *dict.fromkeys(
                root for image, path in self._known.items() if (root := _root(image, path))
            )
        ]

    def find(self, image: str) -> Path | None:
        """Return the file of the image with this id; None if missing or outside the folder."""
        if image in self._known:
            return self._known[image]
        if Path(image).is_absolute() or ".." in Path(image).parts:
            return None
        paths = (root / image for root in self._roots)
        return next((path for path in paths if path.is_file()), None)


def _root(image: str, path: Path) -> Path | None:
    posix_path = path.as_posix()
    return Path(posix_path.removesuffix(image)) if posix_path.endswith(f"/{image}") else None
