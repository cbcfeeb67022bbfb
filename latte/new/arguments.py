"""Arguments of `latte adapt` and `new`, and of `latte.adapt`: names and checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from latte.interfaces import LatteError
from latte.io.paths import exists, given_path

_KEYS = {
    "dataset.root": "images",
    "dataset.images": "images",
    "dataset.classes": "classes",
    "dataset.evaluation": "test",
}
"""Keys of a recipe, and the attributes of `Arguments` that set them."""
_LIST = 'give a list of the names, as in classes=["cat", "dog"], or the path of a text file'


@dataclass(frozen=True)
class Arguments:
    """Names of the arguments of a command or of `latte.adapt`, for error messages."""

    images: str = "PHOTOS"
    classes: str = "--classes"
    test: str = "--test"
    labels: str = "--labels"
    method: str = "--method"
    model: str = "--model"
    encoder: str = "--encoder"
    class_file: str = "--classes classes.txt"
    """Example that names the classes by a file."""
    class_list: str = "--classes cat,dog"
    """Example that lists the names."""
    tiny_model: str = "--model plugin:tiny"
    """Example that chooses the tiny CLIP."""

    @contextmanager
    def replacing_keys(self) -> Iterator[None]:
        """Replace recipe keys by argument names in each `LatteError` that the block raises."""
        try:
            yield
        except LatteError as error:
            where, hint = error.where, error.hint
            for key, argument in _KEYS.items():
                where = where and where.replace(key, getattr(self, argument))
                hint = hint and hint.replace(key, getattr(self, argument))
            raise LatteError(error.what, where=where, hint=hint) from error


@contextmanager
def naming_argument(name: str) -> Iterator[None]:
    """Use `name` as the location of each `LatteError` that the `with` block raises."""
    try:
        yield
    except LatteError as error:
        raise LatteError(error.what, where=name, hint=error.hint) from error


ADAPT = Arguments()
NEW = Arguments(images="--images", test="--evaluation")
PYTHON = Arguments(
    images="images",
    classes="classes",
    test="test",
    labels="labels",
    method="method",
    model="model",
    encoder="encoder",
    class_file='classes="classes.txt"',
    class_list='classes=["cat", "dog"]',
    tiny_model='model="plugin:tiny"',
)


def file_or_names(
    classes: str | PathLike[str] | None, argument: str = "--classes"
) -> Path | tuple[str, ...] | None:
    """Return the path of a file with class names, or the names in a text such as `cat,dog`.

    A text with a comma is a path only if this path exists. Errors name the `argument`.
    """
    if classes is None:
        return None
    path = given_path(classes, argument)
    if not isinstance(classes, str) or "," not in classes or exists(path):
        return path
    return tuple(name.strip() for name in classes.split(",") if name.strip())


def given_classes(value: object) -> Path | tuple[str, ...] | None:
    """Convert the argument `classes` of a Python function.

    Returns class names, the path of a file with them, or None. Raises `LatteError` for a set,
    because its order varies, and for values of other types.
    """
    if value is None or isinstance(value, str | PathLike):
        return file_or_names(value, "classes")
    if not isinstance(value, Iterable):
        what = f"{type(value).__name__} is no list of class names"
        raise LatteError(what, where="classes", hint=_LIST)
    if isinstance(value, set | frozenset):
        what = "the names in a set are in another order in each process"
        raise LatteError(what, where="classes", hint="pass a list, as in classes=sorted(names)")
    names = tuple(value)
    for number, name in enumerate(names):
        if not isinstance(name, str):
            what = f"{name!r} is no class name, because it is no text"
            raise LatteError(what, where=f"classes.{number}", hint=_LIST)
    return names


def given_text(value: object, argument: str, example: str) -> str:
    """Return `value` if it is text, else raise `LatteError` that names the `argument`."""
    if isinstance(value, str):
        return value
    what = f"{value!r} is no text"
    raise LatteError(what, where=argument, hint=f'as in {argument}="{example}"')
