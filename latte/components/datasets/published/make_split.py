"""Make a missing split file (train, val, test) from a dataset's own lists, as CoOp's code does."""

from __future__ import annotations

import importlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latte.api import LatteError, write_text
from latte.api.sources import existing_file, existing_folder, list_folders, list_images, read_text
from latte.components.datasets.published.check import MADE_BY
from latte.components.datasets.published.facts import RANDOM_SPLITS, Facts, MadeFrom

Labelled = tuple[str, int, str]
"""Path relative to the image folder, label (counted from 0), and class name as in CoOp's splits."""

Official = tuple[list[Labelled], list[Labelled]]
"""Training images, and test images."""

SEED = 1

_RANDOM = (
    "Made by latte as CoOp's code does it: 50/20/30 % of each class at random, seed 1. The "
    "published split has other images in each part, so accuracies are not comparable with "
    "published ones."
)

_OFFICIAL = (
    "Made by latte from the dataset's own lists as CoOp's code does it, seed 1. Training (train + "
    "val) and test images should be the published ones; which of them are val is not."
)


def make_split(facts: Facts, root: Path) -> str:
    """Write the split file `facts.split` into `root`; return a sentence on how it was made."""
    assert facts.made_from is not None
    generator = random.Random(SEED)
    if facts.made_from in RANDOM_SPLITS:
        what, images = _RANDOM, _ALL[facts.made_from](facts, root)
        train, val, test = divide(images, (0.5, 0.2), generator)
    else:
        what, (training, test) = _OFFICIAL, _OFFICIAL_SPLITS[facts.made_from](root)
        val, train = divide(training, (0.2,), generator)
    content = {"train": train, "val": val, "test": test, MADE_BY: what}
    write_text(root / facts.split, json.dumps(content, ensure_ascii=False) + "\n")
    return what


def divide(
    images: Iterable[Labelled], shares: Sequence[float], generator: random.Random
) -> list[list[Labelled]]:
    """Divide images at random into one part per fraction in `shares`, and a part for the rest.

    Each class is divided in the same proportions.
    """
    classes: defaultdict[int, list[Labelled]] = defaultdict(list)
    for image in images:
        classes[image[1]].append(image)
    parts: list[list[Labelled]] = [[] for _ in (*shares, "rest")]
    for _, left in sorted(classes.items()):
        generator.shuffle(left)
        counts = [round(len(left) * share) for share in shares]
        for part, count in zip(parts, (*counts, len(left)), strict=True):
            part += left[:count]
            del left[:count]
    return parts


def image_folders(facts: Facts, root: Path) -> list[Labelled]:
    """Return all images of a dataset with one folder per class, in the order of the folders.

    Folders in `facts.ignored` are skipped.
    """
    images = existing_folder(root / facts.images, "root")
    folders = [folder for folder in list_folders(images) if folder.name not in facts.ignored]
    return [
        (path.relative_to(images).as_posix(), label, facts.renamed.get(folder.name, folder.name))
        for label, folder in enumerate(folders)
        for path in sorted(list_images(folder, str(folder)))
    ]


def flowers(facts: Facts, root: Path) -> list[Labelled]:
    """Read all images of Flowers102: labels from `imagelabels.mat`, names from `cat_to_name.json`.

    If `cat_to_name.json` is missing, torchvision's class names are used, which are the same.
    """
    file = root / "imagelabels.mat"
    names = _flower_names(root / "cat_to_name.json")
    with _as_expected(file):
        labels = [int(label) for label in _matlab(file, "labels")]
        return [
            (f"image_{number:05}.jpg", label - 1, _at(names, label - 1))
            for number, label in enumerate(labels, start=1)
        ]


def pets(root: Path) -> Official:
    """Read the splits of Oxford Pets.

    A line holds an image's name, label (from 1), species and breed number. The class name is the
    image's name without its number.
    """

    def read(file: str) -> list[Labelled]:
        lines = _lines(root / "annotations" / file, r"(\S+)_\d+ (\d+) \d+ \d+")
        return [
            (f"{line.split(' ')[0]}.jpg", int(label) - 1, breed.lower())
            for line, breed, label in lines
        ]

    return read("trainval.txt"), read("test.txt")


def cars(root: Path) -> Official:
    """Read the splits of Stanford Cars; class names start with the year, as in CoOp."""
    meta = root / "devkit" / "cars_meta.mat"
    with _as_expected(meta):
        names = [
            " ".join([name.split(" ")[-1], *name.split(" ")[:-1]])
            for name in _matlab(meta, "class_names")
        ]

    def read(folder: str, file: Path) -> list[Labelled]:
        with _as_expected(file):
            rows = _matlab(file, "annotations")
            labelled = [(row["fname"], int(row["class"]) - 1) for row in rows]
            return [(f"{folder}/{image}", label, _at(names, label)) for image, label in labelled]

    test = root / "cars_test_annos_withlabels.mat"
    return read("cars_train", root / "devkit" / "cars_train_annos.mat"), read("cars_test", test)


def scenes(root: Path) -> Official:
    """Read the first official partition of SUN397; class `/a/apse/indoor` becomes `indoor apse`."""
    classes = [found for _, found in _lines(root / "ClassName.txt", r"/(\S+)")]
    labels = {name: label for label, name in enumerate(classes)}

    def read(file: str) -> list[Labelled]:
        path = root / file
        return [
            (
                f"{scene}/{image}",
                _label(labels, scene, path),
                " ".join(reversed(scene.split("/")[1:])),
            )
            for _, scene, image in _lines(path, r"/(\S+)/([^/\s]+)")
        ]

    return read("Training_01.txt"), read("Testing_01.txt")


def actions(root: Path) -> Official:
    """Read the first official partition of UCF101; each image is a video's middle frame."""
    folder = root / "ucfTrainTestlist"
    labels = {
        action: int(label) - 1
        for _, label, action in _lines(folder / "classInd.txt", r"(\d+) (\w+)")
    }

    def read(file: str) -> list[Labelled]:
        path = folder / file
        return [
            (f"{name}/{video}.jpg", _label(labels, action, path), name)
            for _, action, video in _lines(path, r"(\w+)/(\S+)\.avi(?: \d+)?")
            for name in ["_".join(re.findall("[A-Z][^A-Z]*", action))]
        ]

    return read("trainlist01.txt"), read("testlist01.txt")


def _label(labels: Mapping[str, int], name: str, file: Path) -> int:
    if name not in labels:
        raise LatteError(f"{name!r} is in no list of classes", where=str(file))
    return labels[name]


def _lines(file: Path, pattern: str) -> list[tuple[str, ...]]:
    """Return for each line of `file` the line and the groups of the regular expression `pattern`.

    Empty lines and comments are skipped.
    """
    found = []
    for number, line in enumerate(read_text(existing_file(file, "root")).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(pattern, line.strip())
        if match is None:
            raise LatteError(f"{line!r} is not as expected", where=f"{file}:{number}")
        found.append((line.strip(), *match.groups()))
    return found


def _flower_names(file: Path) -> Sequence[str]:
    if file.is_file():
        with _as_expected(file):
            by_label = json.loads(read_text(file))
            return [str(by_label[str(label)]) for label in range(1, len(by_label) + 1)]
    from torchvision.datasets import Flowers102

    if not hasattr(Flowers102, "classes"):
        raise LatteError(
            "this torchvision does not know the names of the flowers",
            where=str(file),
            hint="put CoOp's file of names there, or: pip install 'torchvision>=0.22'",
        )
    return list(Flowers102.classes)


@contextmanager
def _as_expected(file: Path) -> Iterator[None]:
    """Convert all exceptions of the `with` block, which reads `file`, to `LatteError`."""
    try:
        yield
    except LatteError:
        raise
    except Exception as error:  # scipy raises many types for a damaged file
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise LatteError(f"is not as expected ({why[:200]})", where=str(file)) from error


def _at(names: Sequence[str], label: int) -> str:
    if label not in range(len(names)):
        raise ValueError(f"there is no class {label + 1}")
    return names[label]


def _matlab(file: Path, variable: str) -> Sequence[Any]:
    try:
        scipy: Any = importlib.import_module("scipy.io")
    except ImportError as error:
        raise LatteError(
            "reading MATLAB files needs scipy, which is not installed",
            where=str(file),
            hint="pip install 'latte-clip[matlab]'",
        ) from error
    loaded = scipy.loadmat(existing_file(file, "root"), simplify_cells=True)
    values: Sequence[Any] = loaded[variable]
    return values


_ALL: dict[MadeFrom, Callable[[Facts, Path], list[Labelled]]] = {
    "folders": image_folders,
    "flowers": flowers,
}
"""Functions that read all images, by kind of dataset, for the kinds in `RANDOM_SPLITS`."""
_OFFICIAL_SPLITS: dict[MadeFrom, Callable[[Path], Official]] = {
    "pets": pets,
    "cars": cars,
    "scenes": scenes,
    "actions": actions,
}
"""Functions that read training and test images, for the other kinds of dataset."""
