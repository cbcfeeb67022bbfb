"""Folders as people have them, drawn from a labelled set as frozen features.

A *cell* is a kind of folder, such as "5 % of the names" (of the class names, 5 % occur). A *draw*
is one random folder of a cell. The folder's *own* images are adapted to; *unseen* images test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from latte.api import LatteError, Progress, did_you_mean

MOST_IMAGES = 2000
"""Largest number of images of a folder."""
USUAL_IMAGES = 1000
"""Largest number of images in cells whose subject is not the size."""
TEST_IMAGES_PER_CLASS = 30
NAMES = 100
"""Smallest number of names in cells in which some names occur; other sets lend missing ones."""
NO_CLASS = -1
"""Label of images that show none of the names."""
_ENOUGH = 0.3
"""If equal class counts use less than this share of the available images, counts are unequal."""
_FEWEST_PER_CLASS = 16
"""If only some names occur, at least this many images per class are drawn, if there are so many."""

FolderKind = Literal[
    "all",
    "names",
    "fifth",
    "zipf",
    "tail",
    "dominant",
    "images",
    "none",
    "twice",
    "meaningless",
]
EncodeNames = Callable[[Sequence[str]], Tensor]
"""Function that returns the text features (K, D) of K names."""
Numbers = NDArray[numpy.float64]
RowIndices = NDArray[numpy.int64]


def no_names(names: Sequence[str]) -> Tensor:
    """Refuse to encode names, for folders whose methods need none."""
    raise RuntimeError("this folder was made without `encode_names`")


@dataclass(frozen=True)
class LabelledImages:
    """Unit features (N, D) and labels (N,) int64."""

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: RowIndices | Tensor) -> LabelledImages:
        """Return the images `rows`, which are indices or a mask (N,)."""
        indices = torch.as_tensor(rows)
        return LabelledImages(self.features[indices], self.labels[indices])

    def counts(self, classes: int) -> Numbers:
        """Return the number of images of each class (C,)."""
        shown = self.labels[self.labels >= 0].numpy()
        return numpy.bincount(shown, minlength=classes).astype(float)


@dataclass(frozen=True)
class LabelledSet:
    """Frozen features of a labelled set by one CLIP."""

    name: str
    source: str
    """Name of the set that the images come from; for a subset, that of the whole set."""
    names: tuple[str, ...]
    texts: Tensor
    """(C, D): unit features of the class texts."""
    logit_scale: float
    train: LabelledImages
    test: LabelledImages
    encode_names: EncodeNames = no_names


@dataclass(frozen=True)
class FolderCell:
    """One kind of folder."""

    name: str
    kind: FolderKind
    amount: float = 0.0
    """By kind: share of the names, exponent of Zipf's law, ratio of the largest class to the
    smallest, number of images, or share of images."""


_NAMED = (0.02, 0.05, 0.1, 0.25, 0.5)
CELLS = (
    FolderCell("all names", "all"),
    *(FolderCell(f"{100 * part:.0f} % of the names", "names", part) for part in _NAMED),
    FolderCell("a fifth of the set's names", "fifth", 0.2),
    FolderCell("Zipf 1", "zipf", 1),
    FolderCell("Zipf 2", "zipf", 2),
    FolderCell("long tail", "tail", 50),
    FolderCell("one dominant class", "dominant"),
    *(FolderCell(f"{count} images", "images", count) for count in (25, 50, 100, 200)),
    *(FolderCell(f"{100 * part:.0f} % of no class", "none", part) for part in (0.1, 0.3, 0.5)),
    FolderCell("each image twice", "twice"),
    FolderCell("shuffled names", "meaningless"),
)
CELL = {cell.name: cell for cell in CELLS}


@dataclass(frozen=True)
class Folder:
    """One draw of a cell."""

    names: tuple[str, ...]
    texts: Tensor
    """(C, D): unit text features of the names; names that other sets lend come last."""
    logit_scale: float
    own: LabelledImages
    test: LabelledImages
    """Unseen images of the set, at most `TEST_IMAGES_PER_CLASS` of each class."""
    mix: Tensor
    """(C,) float64: the share of each class among the own images that show one."""
    encode_names: EncodeNames = no_names
    corrections: Tensor | None = None
    """(N,) int64: classes that a person gave to own images, -1 elsewhere."""


def draw(
    full_set: LabelledSet, cell: FolderCell, seed: int, other_sets: Sequence[LabelledSet]
) -> Folder:
    """Draw a folder; the choice of images and names depends on the arguments, not on the CLIP.

    `other_sets` lend names that do not occur, and images that show none of the names.
    """
    random = numpy.random.default_rng([seed, crc32(f"{full_set.name}/{cell.name}".encode())])
    names, texts = _names(full_set, cell, random, other_sets)
    weights, size = _mix(full_set, cell, len(names), random)
    images = full_set.train.take(stratified(full_set.train, weights, size, random))
    counts = torch.from_numpy(images.counts(len(names)))
    test = full_set.test.take(_at_most(full_set.test, TEST_IMAGES_PER_CLASS, random))
    images = _changed(images, cell, random, lent_images(full_set, other_sets))
    shares = counts / counts.sum()
    return Folder(names, texts, full_set.logit_scale, images, test, shares, full_set.encode_names)


def can_draw(full_set: LabelledSet, cell: FolderCell, other_sets: Sequence[LabelledSet]) -> bool:
    """Return True unless the cell needs images of no class and `other_sets` cannot lend them."""
    return cell.kind != "none" or len(lent_images(full_set, other_sets)) > 0


def drawable(
    full_set: LabelledSet,
    cells: Sequence[FolderCell],
    other_sets: Sequence[LabelledSet],
    progress: Progress,
) -> list[FolderCell]:
    """Return the cells that can be drawn from a set; report which are left out."""
    absent = [cell for cell in cells if not can_draw(full_set, cell, other_sets)]
    if absent:
        left_out = ", ".join(cell.name for cell in absent)
        progress.say(f"{full_set.name}: no set lends images of no class; left out: {left_out}")
    return [cell for cell in cells if cell not in absent]


def drawn_folders(
    loaded: Sequence[LabelledSet], cell: FolderCell, seeds: int
) -> Iterator[tuple[LabelledSet, list[Folder]]]:
    """Yield each set from which the cell can be drawn, with a folder per seed."""
    for full_set in loaded:
        if can_draw(full_set, cell, loaded):
            yield full_set, [draw(full_set, cell, seed, loaded) for seed in range(seeds)]


def lent_images(full_set: LabelledSet, other_sets: Sequence[LabelledSet]) -> Tensor:
    """Return features (M, D) of images of other sets that show none of the names."""
    names = _spelled(full_set.names)
    lent = [full_set.texts[:0]]
    for lender in _foreign(full_set, other_sets):
        strange = torch.tensor([name not in names for name in _spelled(lender.names)])
        lent.append(lender.train.features[strange[lender.train.labels]])
    return torch.cat(lent)


def subset(full_set: LabelledSet, count: int, seed: int, name: str) -> LabelledSet:
    """Return the set reduced to `count` random classes, in label order."""
    class_rows = numpy.random.default_rng(seed).permutation(len(full_set.names))[:count]
    classes = torch.from_numpy(numpy.sort(class_rows))
    place = torch.full((len(full_set.names),), NO_CLASS)
    place[classes] = torch.arange(len(classes))

    def kept(images: LabelledImages) -> LabelledImages:
        labels = place[images.labels]
        return LabelledImages(images.features, labels).take(labels >= 0)

    return replace(
        full_set,
        name=name,
        names=tuple(full_set.names[label] for label in classes),
        texts=full_set.texts[classes],
        train=kept(full_set.train),
        test=kept(full_set.test),
    )


def _mix(
    full_set: LabelledSet, cell: FolderCell, names: int, random: numpy.random.Generator
) -> tuple[Numbers, int]:
    """Return the weight of each class (C,), and the number of images to draw."""
    counts = full_set.train.counts(len(full_set.names))
    order = random.permutation(numpy.flatnonzero(counts))
    even = (counts > 0).astype(float)
    size = USUAL_IMAGES
    if cell.kind == "all":
        equal = int(counts[order].min()) * len(order)
        few = equal < _ENOUGH * min(MOST_IMAGES, counts.sum())
        return (counts, MOST_IMAGES) if few else (even, min(MOST_IMAGES, equal))
    if cell.kind == "names":
        occurring = order[: max(1, round(cell.amount * names))]
        weights = numpy.zeros_like(counts)
        most = max(_FEWEST_PER_CLASS, counts[occurring].min())
        weights[occurring] = numpy.minimum(counts[occurring], most)
        return weights, min(MOST_IMAGES, int(weights.sum()))
    if cell.kind == "fifth":
        occurring = order[: max(2, round(cell.amount * len(order)))]
        weights = numpy.zeros_like(counts)
        weights[occurring] = 1
        return weights, min(USUAL_IMAGES, int(counts[occurring].min()) * len(occurring))
    if cell.kind == "tail":
        even[order] = cell.amount ** -numpy.linspace(0, 1, len(order))
        size = _until_empty(order[0], even, counts)
    elif cell.kind == "zipf":
        even[order] = numpy.arange(1.0, len(order) + 1) ** -cell.amount
        size = _until_empty(order[0], even, counts)
    elif cell.kind == "dominant":
        even[order[0]] = max(len(order) - 1, 1)
        size = _until_empty(order[0], even, counts)
    elif cell.kind == "images":
        size = int(cell.amount)
    elif cell.kind == "twice":
        size = USUAL_IMAGES // 2
    return even, size


def _until_empty(largest: int, weights: Numbers, counts: Numbers) -> int:
    """Return the images to draw to use up the class of largest weight, at most `USUAL_IMAGES`."""
    return min(USUAL_IMAGES, int(counts[largest] * weights.sum() / weights[largest]))


def stratified(
    images: LabelledImages, weights: Numbers, size: int, random: numpy.random.Generator
) -> RowIndices:
    """Return `size` distinct rows in random order, with classes in proportion to `weights` (C,).

    If a class has too few images, fewer rows are returned.
    """
    labels = images.labels.numpy()
    pools = [
        random.permutation(numpy.flatnonzero(labels == label)) for label in weights.nonzero()[0]
    ]
    shares = weights[weights > 0] / weights.sum()
    size = min(size, sum(map(len, pools)))
    counts = numpy.floor(shares * size).astype(int)
    extra_classes = random.choice(len(shares), size - counts.sum(), p=shares)
    counts += numpy.bincount(extra_classes, minlength=len(shares))
    rows_by_class = [pool[:count] for pool, count in zip(pools, counts, strict=True)]
    return random.permutation(numpy.concatenate(rows_by_class))


def _at_most(images: LabelledImages, count: int, random: numpy.random.Generator) -> RowIndices:
    """Return the rows of at most `count` random images per class, ascending."""
    order = random.permutation(len(images))
    labels = images.labels.numpy()[order]
    rows_by_class = [order[labels == label][:count] for label in numpy.unique(labels)]
    return numpy.sort(numpy.concatenate([order[:0], *rows_by_class]))


def _names(
    full_set: LabelledSet,
    cell: FolderCell,
    random: numpy.random.Generator,
    other_sets: Sequence[LabelledSet],
) -> tuple[tuple[str, ...], Tensor]:
    """Return all names of a folder, and their text features (C, D)."""
    if cell.kind == "meaningless":
        return full_set.names, full_set.texts[
            torch.from_numpy(random.permutation(len(full_set.names)))
        ]
    missing = NAMES - len(full_set.names)
    if cell.kind != "names" or missing <= 0:
        return full_set.names, full_set.texts
    class_names = _spelled(full_set.names)
    lent = {
        key: (name, text)
        for lender in _foreign(full_set, other_sets)
        for key, name, text in zip(_spelled(lender.names), lender.names, lender.texts, strict=True)
        if key not in class_names
    }
    lent_names = [[*lent.values()][row] for row in random.permutation(len(lent))[:missing]]
    texts = torch.stack([*full_set.texts, *(text for _, text in lent_names)])
    return (*full_set.names, *(name for name, _ in lent_names)), texts


def _changed(
    images: LabelledImages, cell: FolderCell, random: numpy.random.Generator, foreign: Tensor
) -> LabelledImages:
    """Return `images`, with images of no class added or each image twice if the cell says so."""
    if cell.kind == "twice":
        return LabelledImages(images.features.repeat(2, 1), images.labels.repeat(2))
    if cell.kind != "none":
        return images
    count = round(len(images) * cell.amount / (1 - cell.amount))
    rows = torch.from_numpy(random.permutation(len(foreign))[:count])
    together = LabelledImages(
        torch.cat([images.features, foreign[rows]]),
        torch.cat([images.labels, torch.full((len(rows),), NO_CLASS)]),
    )
    return together.take(random.permutation(len(together)))


def _foreign(full_set: LabelledSet, other_sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """Return the sets in `other_sets` with another source than `full_set`."""
    return [lender for lender in other_sets if lender.source != full_set.source]


def _spelled(names: Sequence[str]) -> list[str]:
    """Return names in a spelling in which they can be compared."""
    return [name.replace("_", " ").casefold() for name in names]


def cells_called(names: Sequence[str] | None) -> list[FolderCell]:
    """Return the cells called `names`, or all cells. Raises `LatteError` for an unknown name."""
    for name in names or ():
        if name not in CELL:
            hint = f"{did_you_mean(name, [*CELL])} All: {', '.join(CELL)}".strip()
            raise LatteError(f'there is no cell "{name}"', where="--cells", hint=hint)
    return [CELL[name] for name in names or CELL]
