"""Write draws of `folder_cells` as datasets on disk that a recipe can name.

`folder_cells` draws rows of features. Here an image's only feature is its index in a list of
all files, so that a draw gives files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from latte_benchmarks.folder_cells import FolderCell, LabelledImages, LabelledSet, draw, no_names

from benchmarks.folder_rows import csv_text
from benchmarks.folder_sets import Sets
from latte.interfaces import LabelledImage
from latte.io.files import write_text


@dataclass(frozen=True)
class NumberedSets:
    """Labelled sets whose features (N, 1) are indices into `files`, as float64."""

    sets: Mapping[str, LabelledSet]
    templates: Mapping[str, str]
    """Template by name of the whole set."""
    files: Sequence[Path]


@dataclass(frozen=True)
class Drawn:
    """One draw of a cell; labels are indices of `names`, or `NO_CLASS`."""

    names: tuple[str, ...]
    template: str
    own: Sequence[tuple[Path, int]]
    unseen: Sequence[tuple[Path, int]]
    """Test images of the set."""

    @property
    def labels(self) -> tuple[list[int], list[int]]:
        """Labels of the own images, and of the unseen images."""
        own_labels, unseen_labels = (
            [label for _, label in part] for part in (self.own, self.unseen)
        )
        return own_labels, unseen_labels

    def write(self, folder: Path) -> Mapping[str, Any]:
        """Write the lists and the class names to `folder`; return the recipe's key `dataset`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "classes.txt", "".join(f"{name}\n" for name in self.names))
        write_text(folder / "own.csv", csv_text([["path"], *([path] for path, _ in self.own)]))
        labelled = [[path, self.names[label]] for path, label in self.unseen]
        write_text(folder / "unseen.csv", csv_text([["path", "class"], *labelled]))
        return {
            "use": "list",
            "images": "own.csv",
            "classes": "classes.txt",
            "evaluation": "unseen.csv",
            "template": self.template,
        }


def number(sets: Sets) -> NumberedSets:
    """Read all sets without decoding an image. Raises `LatteError`."""
    files: list[Path] = []
    wholes, templates = [], {}
    for plan in sets.wholes:
        dataset, training, test = sets.read(plan)
        templates[plan.name] = plan.template
        names = dataset.class_names
        wholes.append(
            LabelledSet(
                name=plan.name,
                source=plan.name,
                names=names,
                texts=torch.zeros(len(names), 1, dtype=torch.float64),
                logit_scale=1.0,
                train=_numbered(training, files),
                test=_numbered(test, files),
                encode_names=no_names,
            )
        )
    return NumberedSets(
        {labelled.name: labelled for labelled in sets.with_subsets(wholes)}, templates, tuple(files)
    )


def draw_files(numbered: NumberedSets, name: str, cell: FolderCell, seed: int) -> Drawn:
    """Return the draw that `folders` makes, with all its own and unseen images."""
    full_set = numbered.sets[name]
    folder = draw(full_set, cell, seed, [*numbered.sets.values()])
    own_files, unseen = (_files(images, numbered.files) for images in (folder.own, folder.test))
    return Drawn(folder.names, numbered.templates[full_set.source], own_files, unseen)


def _numbered(images: Sequence[LabelledImage], files: list[Path]) -> LabelledImages:
    """Append the images' absolute paths to `files`; return their indices and labels."""
    start = len(files)
    files += [Path(os.path.abspath(labelled.image.path)) for labelled in images]  # noqa: PTH100 - keeps links
    places = torch.arange(start, len(files), dtype=torch.float64)
    return LabelledImages(places[:, None], torch.tensor([labelled.label for labelled in images]))


def _files(images: LabelledImages, files: Sequence[Path]) -> list[tuple[Path, int]]:
    places = images.features[:, 0].long().tolist()
    return [
        (files[place], label) for place, label in zip(places, images.labels.tolist(), strict=True)
    ]
