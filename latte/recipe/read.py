"""Step 1 of loading a recipe: read its file, the recipes that it extends, and every `--set`.

Comes in: the path of a file, and texts such as `train.max_steps=100`. Goes out: one layer for each
file and each `--set`, as it is written; a layer is merged over the layers that it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yaml.nodes import Node

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.paths import read_text
from latte.recipe.document import DocumentBuilder
from latte.recipe.errors import Mistakes, wrong_type
from latte.recipe.model import TOP_KEYS
from latte.recipe.overrides import read_override
from latte.recipe.places import OVERRIDE, Document, KeyPath, Layer, dotted
from latte.recipe.shipped import SUFFIXES, shipped_path, unknown_recipe
from latte.recipe.syntax import LARGEST_FILE, compose
from latte.registry.spec import NAME

DEEPEST = 20
"""Maximum length of a chain of recipes that extend one another."""


def read_layers(
    path: Path, overrides: Sequence[str], environment: Mapping[str, str], mistakes: Mistakes
) -> list[Layer]:
    """Read a recipe; each layer comes after those that it changes, and the last one is complete.

    `environment` holds the values of `${VAR}`. Raises `LatteError` for a file that cannot be read
    or is not YAML, and for a wrong `extends`; other mistakes are added to `mistakes`.
    """
    files = _Files(environment, mistakes)
    files.read(path, (), "")
    layers = [*files.layers.values()]
    for text in overrides:
        builder = DocumentBuilder(OVERRIDE, environment, mistakes)
        if layer := read_override(text, layers[-1].source, builder):
            layers.append(layer)
    return layers


@dataclass
class _Files:
    """Reader of a recipe's file and of the recipes that it extends; each file is read once."""

    environment: Mapping[str, str]
    mistakes: Mistakes
    layers: dict[Path, Layer] = field(default_factory=dict)

    def read(self, path: Path, chain: tuple[Path, ...], where: str) -> None:
        """Add the layers of the bases of the file `path`, then its own.

        The files in `chain` lead to this one, by the `extends` at `where`.
        """
        document = self._base(path, where) if chain else self._recipe(path)
        bases = []
        for reference, place in _references(document):
            base = _find(reference, path, place)
            self._refuse_long((*chain, path), base, place)
            if base not in self.layers:
                self.read(base, (*chain, path), place)
            bases.append(base)
        content = document.without(["extends", NAME] if chain else ["extends"])
        self.layers[path] = Layer(str(path), content, tuple(map(str, bases)))

    def _refuse_long(self, chain: tuple[Path, ...], base: Path, where: str) -> None:
        """Raise `LatteError` if the `chain` of files contains the file `base`, or is too long."""
        real_chain = [link.resolve() for link in chain]
        if base.resolve() in real_chain:
            circle = [*chain[real_chain.index(base.resolve()) :], base]
            raise LatteError(f"extends itself: {' -> '.join(map(str, circle))}", where=where)
        if len(chain) > DEEPEST:
            raise LatteError(f"more than {DEEPEST} recipes extend one another", where=where)

    def _recipe(self, path: Path) -> Document:
        """Return the content of the recipe's own file."""
        root = compose(read_text(path, LARGEST_FILE), str(path))
        document = self._document(root, path, self.mistakes)
        if not isinstance(document.data, dict):
            place = document.places[()]
            what, _ = wrong_type(["a mapping (key: value)"], document.data, place)
            raise LatteError(what, where=place.position)
        return document

    def _base(self, path: Path, where: str) -> Document:
        """Return the content of the file `path`, which another recipe extends.

        If the file is not a recipe, the error does not quote its content.
        """
        text = read_text(path, LARGEST_FILE)
        try:
            root = compose(text, str(path))
        except LatteError as error:
            raise LatteError(
                "is not valid YAML", where=error.where, hint=f"Details: latte check {path}"
            ) from error
        mistakes = Mistakes()
        document = self._document(root, path, mistakes)
        if not (isinstance(document.data, dict) and {*TOP_KEYS} & {*document.data}):
            what = f"{path} is not a recipe: it has no key that recipes have"
            raise LatteError(what, where=where)
        self.mistakes.found += mistakes.found
        return document

    def _document(self, root: Node | None, path: Path, mistakes: Mistakes) -> Document:
        return DocumentBuilder(str(path), self.environment, mistakes).build(root)


def _references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield each name or path in the key `extends`, with its place for messages."""
    extends = document.data.get("extends")
    if extends is None:
        return
    is_list = isinstance(extends, list)
    for index, name in enumerate(extends if is_list else [extends]):
        path: KeyPath = ("extends", index) if is_list else ("extends",)
        place = document.places[path]
        where = f"{place.position} {dotted(path)}"
        if place.is_broken or place.variables:
            raise LatteError("takes no variables", where=where, hint="Write the name itself.")
        if not isinstance(name, str) or not name:
            what, _ = wrong_type(["the name of a recipe, a path, or a list of them"], name, place)
            raise LatteError(what, where=where)
        yield name, where


def _find(name: str, path: Path, where: str) -> Path:
    """Return the path of the recipe that the file `path` extends by `name`."""
    if not name.endswith(SUFFIXES):
        shipped = shipped_path(name)
        if shipped is None:
            error = unknown_recipe(name, where)
            for ending in SUFFIXES:
                if _beside(path, name + ending):
                    error.hint = f"A file needs its ending: extends: {name}{ending}"
                    break
            raise error
        return shipped
    if name.startswith(("/", "~", "\\")) or Path(name).is_absolute():
        hint = "Write it from the folder of this recipe, as in: extends: ../base.yaml"
        raise LatteError(f'"{name}" is not a relative path', where=where, hint=hint)
    file = _beside(path, name)
    if file is None:
        target = path.parent / name
        try:
            names = [
                sibling.name for sibling in target.parent.iterdir() if sibling.suffix in SUFFIXES
            ]
        except (OSError, ValueError):
            names = []
        near = did_you_mean(target.name, names) or None
        raise LatteError(f"there is no recipe {target}", where=where, hint=near)
    return file


def _beside(path: Path, name: str) -> Path | None:
    """Return the recipe file `name`, relative to the folder of `path`; None if it is absent."""
    target = path.parent / name
    try:
        if not (target.is_file() and target.resolve().suffix in SUFFIXES):
            return None
        tidy = Path(os.path.normpath(target))
        return tidy if tidy.is_file() and tidy.samefile(target) else target
    except (OSError, ValueError):
        return None
