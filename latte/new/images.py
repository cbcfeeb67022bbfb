"""Examine a folder of images and a list of class names before a recipe is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, cast

from latte.data.few_images import warn_of_few
from latte.data.images import UnreadableImageError, open_image
from latte.data.sources.class_lookup import ALIAS_SEPARATOR, CLASS_FOLDERS, ClassLookup
from latte.data.sources.classes import folder_class_name, read_classes
from latte.data.sources.walk import list_folders
from latte.interfaces import Context, Dataset, ImageReference, LatteError, Progress
from latte.io.paths import existing_file, existing_folder, is_file, is_folder, some
from latte.new.arguments import NEW, Arguments
from latte.new.earlier_answers import EarlierAnswers, earlier_answers
from latte.new.labels import LabelCounts, checked_labels
from latte.registry.context import unbound_context
from latte.registry.registry import load_registry
from latte.report.numbers import plural

SAMPLE = 64
"""Number of images that are opened, spread evenly over the folder."""
_SMALL = 100
"""Length of an image's shorter side in pixels, below which CLIP recognises little."""
_NO_CLASSES = frozenset(
    (
        *("unlabelled", "unlabeled", "labelled", "labeled", "unsorted", "images"),
        *("unknown", "uncertain", "other", "others", "misc"),
        *("train", "training", "test", "testing", "val", "valid", "validation"),
    )
)
"""Names of sub-folders that seldom name a class; `latte predict --sort-into` makes two of them."""


_LISTED = re.compile(r"[\d\s]+[.,;:)]\s*[^\W\d]|[-*•]\s|[\"'„“]|.*[;\t]")
"""Class names with the marks of a numbered list or a table, as in `1. cat` and `1,cat`."""


@dataclass(frozen=True)
class Findings:
    """Facts about a user's images and class names."""

    root: Path
    classes: Path | Sequence[str] | None
    """File with the class names, or the names; None means the names of the sub-folders."""
    listed: Path | None
    """File that lists the images in `root`; None means all of them."""
    evaluation: Path | None
    images: int
    opened: int
    broken: tuple[str, ...]
    """Images that could not be opened, as `ID (REASON)`."""
    size: tuple[int, int] | None
    """Median width and height of the images that could be opened."""
    class_names: tuple[str, ...]
    class_entries: tuple[str, ...]
    """Each class as a recipe lists it: all its names, as in `couch | sofa`."""
    named_by: Path | None
    """Folder whose sub-folders give the class names; None if the names were given."""
    in_class_folders: int
    """Number of images in sub-folders of `root` that have the name of a class."""
    labelled: int
    labels: Path | None
    """File or folder with the classes that a person gave to images."""
    label_counts: LabelCounts | None
    answers: EarlierAnswers | None
    """The answers of earlier reviews about the images; None if there are none, or none is used."""
    left_out: tuple[str, ...]
    """Warnings about files in `root` and `evaluation` that are not read; a run prints them too."""

    @property
    def corrections(self) -> tuple[Path, ...]:
        """The files of labels that teach: the person's own, and those of earlier reviews."""
        own = () if self.labels is None else (self.labels,)
        return own if self.answers is None or self.answers.why_not else own + self.answers.files

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
        if self.named_by and (odd := [name for name in names if name.casefold() in _NO_CLASSES]):
            yield (
                f"{_counted(odd)} from sub-folders that seem to be no class, and images will get "
                "such labels: name the classes with --classes"
            )
        if scores := [name for name in names if "_" in name]:
            yield f"{_counted(scores)} with an underscore: CLIP understands spaces better"
        if codes := [name for name in names if not any(letter.isalpha() for letter in name)]:
            yield f"{_counted(codes)} without a letter: CLIP needs words"
        if listed := [name for name in names if _LISTED.match(name)]:
            yield (
                f"{_counted(listed)} with a list number, a bullet, a quotation mark, a semicolon "
                "or a tab: write nothing but the name in each line"
            )
        spellings = Counter(" ".join(name.casefold().replace("_", " ").split()) for name in names)
        if twins := [name for name, count in spellings.items() if count > 1]:
            yield f"{_counted(twins)} in several spellings: keep one spelling for each class"


def look_at(
    root: Path,
    classes: Path | Sequence[str] | None,
    evaluation: Path | None,
    labels: Path | None = None,
    *,
    listed: Path | None = None,
    answers: Sequence[Path] = (),
    arguments: Arguments = NEW,
    progress: Progress | None = None,
) -> Findings:
    """Return facts about a folder, about `SAMPLE` of its images, and about the class names.

    If the file `listed` is given, only the images that it lists are looked at. `answers` are files
    of earlier reviews.

    If `classes` is None, the class names are the names of the sub-folders of `root`, or of
    `evaluation` if only `evaluation` has two or more sub-folders. Error messages use the
    argument names in `arguments`.
    """
    existing_folder(root.absolute(), arguments.images)
    if isinstance(classes, Path):
        _check_class_file(classes, arguments)
    if evaluation is not None and not is_file(evaluation):
        existing_folder(evaluation.absolute(), arguments.test)
    named_by = root if classes is None else None
    if classes is None and evaluation and (names := _names_beside(root, evaluation)):
        classes, named_by = names, evaluation
    with arguments.replacing_keys():
        dataset = _dataset(root, listed, classes, evaluation, arguments, progress)
        images = sorted(dataset.training_images(), key=lambda image: image.path)
        labelled = len(dataset.evaluation_images())
    label_counts = None
    if labels is not None:
        label_counts = checked_labels(labels, dataset, arguments.labels, progress)
    is_named_once = classes is not None and evaluation is None and labels is None
    earlier = earlier_answers(answers, dataset, are_alone=labels is None, follows=is_named_once)
    entries = tuple(map(ALIAS_SEPARATOR.join, dataset.class_aliases))
    if earlier is not None and earlier.classes:
        classes = entries = earlier.classes
    names = tuple(entry.split(ALIAS_SEPARATOR)[0] for entry in entries)
    opened = images[:: max(1, len(images) // SAMPLE)][:SAMPLE]
    sizes, broken = list[tuple[int, int]](), []
    for image in opened:
        try:
            sizes.append(open_image(image).size)
        except UnreadableImageError as error:
            broken.append(f"{image.id} ({error.reason})")
    widths, heights = zip(*sizes, strict=True) if sizes else ((), ())
    return Findings(
        root=root,
        classes=classes,
        listed=listed,
        evaluation=evaluation,
        images=len(images),
        opened=len(opened),
        broken=tuple(broken),
        size=(round(median(widths)), round(median(heights))) if sizes else None,
        class_names=names,
        class_entries=entries,
        named_by=named_by,
        in_class_folders=_in_class_folders(images, names),
        labelled=labelled,
        labels=labels,
        label_counts=label_counts,
        answers=earlier,
        left_out=tuple(dataset.warnings()),
    )


def _check_class_file(path: Path, arguments: Arguments) -> None:
    """Raise `LatteError` if the file `path` does not exist.

    If `path` looks like a single class name, the hint shows how to list class names.
    """
    try:
        existing_file(path.absolute(), arguments.classes)
    except LatteError as error:
        if len(path.parts) > 1 or path.suffix in (".txt", ".csv", ".tsv"):
            raise
        advice = f"If {path} is a class name: at least 2 are needed, as in {arguments.class_list}"
        hint = f"{error.hint}\n  {advice}"
        raise LatteError(error.what, where=error.where, hint=hint) from error


def _names_beside(root: Path, evaluation: Path) -> tuple[str, ...]:
    """Return class names from the sub-folders of `evaluation`.

    Returns () if `root` has two or more sub-folders, or `evaluation` has fewer than two.
    """
    if not is_folder(evaluation) or len(list_folders(root)) > 1:
        return ()
    names = tuple(map(folder_class_name, list_folders(evaluation)))
    return names if len(names) > 1 else ()


def _dataset(
    root: Path,
    listed: Path | None,
    classes: Path | Sequence[str] | None,
    evaluation: Path | None,
    arguments: Arguments,
    progress: Progress | None,
) -> Dataset[Any]:
    registry = load_registry()
    context = unbound_context(Path(), registry)
    names: object = CLASS_FOLDERS
    if classes is None:
        _check_class_folders(root.absolute(), context, arguments)
    else:
        names = str(classes.absolute()) if isinstance(classes, Path) else tuple(classes)
    if progress is not None:
        context = replace(context, progress=progress)
    folder = registry.get("dataset", "folder" if listed is None else "list")
    images = {} if listed is None else {"images": str(listed.absolute())}
    test = str(evaluation.absolute()) if evaluation else None
    values = {"root": str(root.absolute()), "classes": names, "evaluation": test, **images}
    options = registry.options_model(folder).model_validate(values)
    return cast("Dataset[Any]", registry.build(folder, options, context))


def _check_class_folders(root: Path, context: Context, arguments: Arguments) -> None:
    try:
        read_classes(CLASS_FOLDERS, root, context)
    except LatteError as error:
        folders = [folder.name for folder in list_folders(root)]
        examples = f" ({some(folders)})" if folders else ""
        hint = (
            f"Without {arguments.classes}, each sub-folder is a class{examples}.\n"
            f"  Name the classes: {arguments.class_file}, or {arguments.class_list}"
        )
        raise LatteError(error.what, where=error.where, hint=hint) from error


def _in_class_folders(images: Sequence[ImageReference], names: Sequence[str]) -> int:
    lookup, in_class_folders = ClassLookup(names), 0
    folders = Counter(image.id.partition("/")[0] for image in images if "/" in image.id)
    for folder, count in folders.items():
        with suppress(LatteError):  # which is raised for a folder without the name of a class
            lookup.label(folder, folder)
            in_class_folders += count
    return in_class_folders


def _counted(names: Sequence[str]) -> str:
    return f"{plural(len(names), 'class name')} ({some(names)})"
