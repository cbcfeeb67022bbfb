"""Examine a folder of images and a list of class names before a recipe is written."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from latte.data.few_images import warn_of_few
from latte.data.images import UnreadableImageError, open_image
from latte.data.source_options import CLASS_FOLDERS
from latte.data.sources.classes import ClassLookup, read_class_names
from latte.data.sources.left_out import LeftOut
from latte.data.sources.walk import iterate_images, list_images
from latte.interfaces import Context, ImageReference, LatteError
from latte.io.paths import existing_file, existing_folder, is_file, some
from latte.registry.registry import load_registry
from latte.report.numbers import plural

SAMPLE = 64
"""Number of images that are opened, spread evenly over the folder."""
_SMALL = 100
"""Length of an image's shorter side in pixels, below which CLIP recognises little."""


@dataclass(frozen=True)
class Findings:
    """Facts about the images and class names."""

    root: Path
    classes: Path | Sequence[str] | None
    """File with the class names, or the names; None means the names of the sub-folders."""
    evaluation: Path | None
    images: int
    opened: int
    broken: tuple[str, ...]
    """Images that could not be opened, as `ID (REASON)`."""
    size: tuple[int, int] | None
    """Median width and height of the images that could be opened."""
    class_names: tuple[str, ...]
    in_class_folders: int
    """Number of images in sub-folders of `root` that have the name of a class."""
    labelled: int
    """Number of labelled images in the folder `evaluation`."""
    left_out: tuple[str, ...]
    """Warnings about files in `root` and `evaluation` that are not read; a run prints them too."""

    def warnings(self) -> Iterator[str]:
        """Yield warnings for users to check before a run, one sentence each."""
        if self.broken:
            yield (
                f"{len(self.broken)} of {self.opened} sampled images can't be read, e.g. "
                f"{self.broken[0]}; runs leave such images out and list them"
            )
        if self.size and min(self.size) < _SMALL:
            width, height = self.size
            yield f"images are small ({width} x {height} pixels); CLIP was trained on larger ones"
        if few := warn_of_few(self.images, len(self.class_names)):
            yield few
        if self.in_class_folders and self.classes:
            yield (
                f"{self.in_class_folders:,} images are in folders named like classes, and training "
                "ignores these names. To measure the gain, move some of these images, by class, "
                "to another folder of labelled images"
            )
        names = self.class_names
        if scores := [name for name in names if "_" in name]:
            yield f"{_counted(scores)} with an underscore: CLIP understands spaces better"
        if codes := [name for name in names if not any(letter.isalpha() for letter in name)]:
            yield f"{_counted(codes)} without a letter: CLIP needs words"
        spellings = Counter(" ".join(name.casefold().replace("_", " ").split()) for name in names)
        if twins := [name for name, count in spellings.items() if count > 1]:
            yield f"{_counted(twins)} in several spellings: keep one spelling for each class"


def look_at(
    root: Path,
    classes: Path | Sequence[str] | None,
    evaluation: Path | None,
    *,
    arguments: tuple[str, str] = ("--images", "--evaluation"),
) -> Findings:
    """Return facts about a folder, about `SAMPLE` of its images, and about the class names.

    `arguments` are the names of `root` and `evaluation` in errors.

    Raises `LatteError` if there are no images, if class names are unusable, or if the evaluation
    folder has other classes or contains training images.
    """
    folder = root.absolute()
    existing_folder(folder, arguments[0])
    if isinstance(classes, Path):
        existing_file(classes.absolute(), "--classes")
    if evaluation is not None and not is_file(evaluation):
        existing_folder(evaluation.absolute(), arguments[1])
    left_out = LeftOut()
    paths = sorted(list_images(folder, arguments[0], left_out))
    if evaluation is not None:
        deque(iterate_images(evaluation.absolute(), left_out=left_out), maxlen=0)
    context = Context(Path.cwd(), Path.cwd(), "cpu", 0, frozen_clip=_no_clip)  # type: ignore[arg-type]
    names = read_class_names(_as_option(classes), folder, context)
    opened = paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]
    sizes, broken = _open(opened, folder)
    widths, heights = zip(*sizes, strict=True) if sizes else ((), ())
    return Findings(
        root=root,
        classes=classes,
        evaluation=evaluation,
        images=len(paths),
        opened=len(opened),
        broken=tuple(broken),
        size=(round(median(widths)), round(median(heights))) if sizes else None,
        class_names=names,
        in_class_folders=_in_class_folders(paths, folder, names),
        labelled=_labelled(root, classes, evaluation, context),
        left_out=tuple(left_out.warnings()),
    )


def _no_clip() -> None:
    raise LatteError("nothing is encoded here")


def _open(paths: Sequence[Path], root: Path) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the sizes of the images that can be opened, and the others as `ID (REASON)`."""
    sizes, broken = [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            sizes.append(open_image(ImageReference(name, path)).size)
        except UnreadableImageError as error:
            broken.append(f"{name} ({error.reason})")
    return sizes, broken


def _in_class_folders(paths: Sequence[Path], root: Path, names: Sequence[str]) -> int:
    lookup, images = ClassLookup(names), 0
    folders = Counter(path.relative_to(root).parts[0] for path in paths if path.parent != root)
    for folder, count in folders.items():
        with suppress(LatteError):  # which is raised for a folder without the name of a class
            lookup.label(folder, folder)
            images += count
    return images


def _as_option(classes: Path | Sequence[str] | None) -> str | tuple[str, ...]:
    """Return `classes` as the value of a dataset's option `classes`."""
    if classes is None:
        return CLASS_FOLDERS
    return str(classes.absolute()) if isinstance(classes, Path) else tuple(classes)


def _labelled(
    root: Path, classes: Path | Sequence[str] | None, evaluation: Path | None, context: Context
) -> int:
    if evaluation is None:
        return 0
    registry = load_registry()
    folder = registry.get("dataset", "folder")
    model: Any = registry.options_model(folder)
    options = model(
        root=str(root.absolute()),
        classes=_as_option(classes),
        evaluation=str(evaluation.absolute()),
    )
    dataset: Any = registry.build(folder, options, context)
    return len(dataset.evaluation_images())


def _counted(names: Sequence[str]) -> str:
    return f"{plural(len(names), 'class name')} ({some(names)})"
