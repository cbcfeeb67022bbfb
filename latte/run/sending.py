"""Check and list what a run sends to other machines: images, class names and the recipe."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latte.data.few_images import counted
from latte.data.sources.listed import ListedPaths
from latte.interfaces import Dataset, LatteError
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.places import OVERRIDE
from latte.recipe.shipped import is_shipped
from latte.recipe.variables import path_matches
from latte.registry.registry import Registry
from latte.results.taught_runs import label_files

_CLASSES = "dataset.classes"
_COMMAND_LINE = re.compile(rf"{OVERRIDE}( \$\{{\w+\}})*")
"""Origin of a value from the command line. A file's origin ends in its line number."""


def check_sending(recipe: Recipe, dataset: Dataset[Any] | None, registry: Registry) -> None:
    """Raise `LatteError` if a run would send what its author must not choose.

    These are a file of class names outside the folders of recipe and images, because prompts
    contain class names, and images that the dataset forbids to send to another machine. `dataset`
    is None if it was not opened.
    """
    for variant in (recipe, *recipe.controls.values()):
        _check_class_file(variant, registry)
    for describer in recipe.describers:
        address = describer.options.sends_to
        if address and dataset is not None:
            dataset.check_sending(address)


def sent_files(recipe: Recipe, dataset: Dataset[Any] | None) -> Iterator[str]:
    """Yield one line for each address to which a run sends files, and one for each of these files.

    `dataset` is None if it was not opened; then its images are not counted.
    """
    for describer in recipe.describers:
        if address := describer.options.sends_to:
            yield f"the describer {describer.label} sends to {address}:"
            yield f"  {_shown_images(recipe, describer.label, dataset)}"
            file = _class_file(recipe)
            yield f"  the class names in {file}" if file else "  the class names"
            for labels in label_files(recipe.resolved):
                yield f"  images beside the dataset that {labels} names, from below its folder"
    for reporter in recipe.reporters:
        if address := reporter.options.sends_to:
            yield f"the reporter {reporter.label} sends to {address}:"
            yield f"  the recipe {recipe.path}, with every default, and the metrics of the run"


def _shown_images(recipe: Recipe, describer: str, dataset: Dataset[Any] | None) -> str:
    """Return which images a describer gets: all, or those of a labeler's questions alone."""
    images, asked = _training_images(dataset), recipe.asked
    about_images = (choice for choice in recipe.descriptions if choice.scope != "class")
    if describer in {asked.get(choice.label) for choice in about_images}:
        return images
    return f"at most {counted(recipe.budget or 0, 'question')} about {images}"


def _training_images(dataset: Dataset[Any] | None) -> str:
    if dataset is None:
        return "the training images of the dataset"
    paths = [image.path for image in dataset.training_images()]
    folder = os.path.commonpath([path.parent for path in paths])
    return f"{counted(len(paths), 'training image')} in {folder}"


def _class_file(recipe: Recipe) -> Path | None:
    """Return the file that the dataset's option `classes` names; None if it names no file."""
    options = recipe.dataset.options
    value, field = getattr(options, "classes", None), type(options).model_fields.get("classes")
    if field is None or not isinstance(value, str):
        return None
    match = next(path_matches(value, (field.annotation, *field.metadata)), None)
    return _path(recipe, match["path"]) if match else None


def _path(recipe: Recipe, value: str) -> Path:
    return (recipe.base_dir / Path(value).expanduser()).absolute()


def _check_class_file(recipe: Recipe, registry: Registry) -> None:
    """Raise `LatteError` if the file of class names is not below the recipe's or images' folder.

    A user may name any file by `--set`, or by the variables of a shipped recipe.
    """
    file, origin = _class_file(recipe), recipe.origins.get(_CLASSES, "")
    if file is None or _is_users(origin):
        return
    allowed = _image_folders(recipe)
    if recipe.saved_in is None or _has_original(recipe, registry):
        allowed.append(recipe.base_dir)
    if any(ListedPaths(folder, absolute=True).stays_inside(file) for folder in allowed):
        return
    raise LatteError(
        "the file of class names must be below the recipe's folder or the folder of the images, "
        f"because describers get its lines: {file.resolve()}",
        where=f"{origin} {_CLASSES}",
        hint=f"copy it beside the recipe, or allow it: --set {_CLASSES}={file.resolve()}",
    )


def _is_users(origin: str) -> bool:
    """Return True if the value comes from `--set` or from a shipped recipe."""
    return bool(_COMMAND_LINE.fullmatch(origin)) or is_shipped(Path(origin).resolve())


def _image_folders(recipe: Recipe) -> list[Path]:
    """Return the dataset's folder `root`, or else the folder of the list `images`."""
    options = recipe.dataset.options
    if root := getattr(options, "root", None):
        return [_path(recipe, root)]
    listed = getattr(options, "images", None)
    return [_path(recipe, listed).parent] if isinstance(listed, str) else []


def _has_original(recipe: Recipe, registry: Registry) -> bool:
    """Return True if a valid recipe is where a run folder, which may be untrusted, says it was."""
    try:
        load_recipe(recipe.path, registry)
    except (LatteError, OSError):
        return False
    return True
