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
from zlib import crc32

import numpy
import torch
from latte_benchmarks.folder_cells import Cell, Images, LabelledSet, draw, no_names, stratified
from torch import Tensor

from benchmarks.folder_rows import csv_text
from benchmarks.folder_sets import Sets
from latte.data.sources.listed import image_reference
from latte.interfaces import LabelledImage, LatteError
from latte.io.files import write_text

UNSEEN_IMAGES = 150
"""Largest number of unseen images of a folder."""


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
    """Test images of the set, in the class proportions of the own images if there are enough."""
    mix: Tensor
    """(C,) float64: the share of each class among the own images that show one."""

    def own_labels(self, folder: Path) -> Mapping[str, int]:
        """Return the labels of the own images by image id in a run of `folder`."""
        return {image_reference(path, folder.absolute()).id: label for path, label in self.own}

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


def draw_files(numbered: NumberedSets, name: str, cell: Cell, seed: int, most: int) -> Drawn:
    """Return the draw that `folders` makes, with only the first `most` own images."""
    full_set, other_sets = numbered.sets[name], [*numbered.sets.values()]
    folder = draw(full_set, cell, seed, other_sets)
    images = folder.own.take(torch.arange(min(most, len(folder.own))))
    counts = images.counts(len(folder.names))
    is_present = full_set.test.counts(len(folder.names)) > 0
    random = numpy.random.default_rng([seed, crc32(f"unseen/{name}/{cell.name}".encode())])
    if not (counts * is_present).any():
        raise LatteError(f"no test image of {name} is of a class that occurs in {cell.name}")
    unseen = full_set.test.take(
        stratified(full_set.test, counts * is_present, UNSEEN_IMAGES, random)
    )
    return Drawn(
        folder.names,
        numbered.templates[full_set.source],
        _files(images, numbered.files),
        _files(unseen, numbered.files),
        torch.from_numpy(counts / counts.sum()),
    )


def draw_all_files(numbered: NumberedSets, name: str, cell: Cell, seed: int) -> Drawn:
    """Return the draw that `folders` makes, with all its own and unseen images."""
    full_set = numbered.sets[name]
    folder = draw(full_set, cell, seed, [*numbered.sets.values()])
    own_files, unseen = (_files(images, numbered.files) for images in (folder.own, folder.test))
    return Drawn(folder.names, numbered.templates[full_set.source], own_files, unseen, folder.mix)


def _numbered(images: Sequence[LabelledImage], files: list[Path]) -> Images:
    """Append the images' absolute paths to `files`; return their indices and labels."""
    start = len(files)
    files += [Path(os.path.abspath(labelled.image.path)) for labelled in images]  # noqa: PTH100 - keeps links
    places = torch.arange(start, len(files), dtype=torch.float64)
    return Images(places[:, None], torch.tensor([labelled.label for labelled in images]))


def _files(images: Images, files: Sequence[Path]) -> list[tuple[Path, int]]:
    places = images.features[:, 0].long().tolist()
    return [
        (files[place], label) for place, label in zip(places, images.labels.tolist(), strict=True)
    ]
