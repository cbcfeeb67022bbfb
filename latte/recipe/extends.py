"""Read a recipe and its bases: the files or shipped recipes that its key `extends` names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yaml.nodes import Node

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.paths import read_text
from latte.recipe.document import DocumentBuilder, spelled_out
from latte.recipe.errors import Mistakes, wrong_type
from latte.recipe.fields import KeyPath
from latte.recipe.merge import merged
from latte.recipe.model import TOP_KEYS
from latte.recipe.places import Document, dotted
from latte.recipe.shipped import SUFFIXES, shipped_path, unknown_recipe
from latte.recipe.syntax import LARGEST_FILE, compose
from latte.registry.registry import Registry
from latte.registry.spec import NAME

DEEPEST = 20
"""Maximum length of a chain of recipes that extend one another."""


@dataclass
class RecipeFiles:
    """Reader of a recipe's file and of the recipes that it extends; each file is read once."""

    registry: Registry
    environment: Mapping[str, str]
    mistakes: Mistakes
    bases: dict[Path, Document] = field(default_factory=dict)
    """Bases of the recipe, by file, each merged over its own bases."""

    def read(self, path: Path) -> Document:
        """Return the recipe in the file `path`, merged over the recipes that it extends."""
        document = self._document(compose(read_text(path, LARGEST_FILE), str(path)), path)
        if not isinstance(document.data, dict):
            place = document.places[()]
            what, _ = wrong_type(["a mapping (key: value)"], document.data, place)
            raise LatteError(what, where=place.position)
        return self._with_bases(document, path, (path,))

    def _with_bases(self, document: Document, path: Path, chain: tuple[Path, ...]) -> Document:
        """Return the `document` in the file `path`, merged over the recipes that it extends."""
        bases: Document | None = None
        for reference, where in _references(document):
            base = self._base(reference, path, chain, where)
            bases = base if bases is None else merged(bases, base, self.registry)
        changes = document.without(["extends"])
        return changes if bases is None else merged(bases, changes, self.registry)

    def _base(self, reference: str, path: Path, chain: tuple[Path, ...], where: str) -> Document:
        """Return the recipe that `reference` in the file `path` names, without its key `name`."""
        file = _find(reference, path, where)
        real_chain = [link.resolve() for link in chain]
        if file.resolve() in real_chain:
            circle = [*chain[real_chain.index(file.resolve()) :], file]
            raise LatteError(f"extends itself: {' -> '.join(map(str, circle))}", where=where)
        if len(chain) > DEEPEST:
            raise LatteError(f"more than {DEEPEST} recipes extend one another", where=where)
        if file not in self.bases:
            base = self._with_bases(self._base_document(file, where), file, (*chain, file))
            self.bases[file] = base.without([NAME])
        return self.bases[file]

    def _base_document(self, path: Path, where: str) -> Document:
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
        data = (document := self._document(root, path, mistakes)).data
        if not (isinstance(data, dict) and {*TOP_KEYS} & {*data}):
            what = f"{path} is not a recipe: it has no key that recipes have"
            raise LatteError(what, where=where)
        self.mistakes.found += mistakes.found
        return document

    def _document(
        self, root: Node | None, path: Path, mistakes: Mistakes | None = None
    ) -> Document:
        mistakes = self.mistakes if mistakes is None else mistakes
        builder = DocumentBuilder(str(path), self.environment, mistakes)
        return spelled_out(builder.build(root), mistakes)


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
