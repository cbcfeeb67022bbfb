"""Read a recipe and its bases: the files or shipped recipes that its key `extends` names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yaml.nodes import Node as YamlNode

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.paths import read_text
from latte.recipe.controls import merged
from latte.recipe.layout import KEYS, spelled_out
from latte.recipe.mistakes import Mistakes, wrong_type
from latte.recipe.node import KeyPath, Node, Origin
from latte.recipe.shipped import SUFFIXES, shipped_path, unknown_recipe
from latte.recipe.tree import LARGEST_FILE, build_tree, compose
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
    bases: dict[Path, Node] = field(default_factory=dict)
    """Bases of the recipe, by file, each merged over its own bases."""
    _broken: set[Origin] = field(default_factory=set)

    def read(self, path: Path) -> Node:
        """Return the recipe in the file `path`, merged over the recipes that it extends."""
        text = read_text(path, LARGEST_FILE)
        root = self._built(compose(text, str(path)), path, self.mistakes)
        if not isinstance(root.value, dict):
            what, _ = wrong_type(["a mapping (key: value)"], root)
            raise LatteError(what, where=root.origin.position)
        return self._with_bases(root, path, (path,))

    def forget_replaced(self, root: Node) -> None:
        """Drop the mistakes in values that the merged recipe `root` does not contain."""
        replaced = self._broken - _broken_origins(root)
        self.mistakes.found = [one for one in self.mistakes.found if one.origin not in replaced]

    def _with_bases(self, root: Node, path: Path, chain: tuple[Path, ...]) -> Node:
        """Return the content `root` of the file `path`, merged over the recipes that it extends."""
        whole: Node | None = None
        for reference, place in _references(root):
            base = self._base(reference, path, chain, self.mistakes.where(reference.origin, place))
            whole = base if whole is None else merged(whole, base, self.registry)
        own = root.without(["extends"])
        return own if whole is None else merged(whole, own, self.registry)

    def _base(self, reference: Node, path: Path, chain: tuple[Path, ...], where: str) -> Node:
        """Return the recipe that `reference` in the file `path` names, without its key `name`."""
        found = _find(reference, path, where)
        real = [one.resolve() for one in chain]
        if found.resolve() in real:
            circle = [*chain[real.index(found.resolve()) :], found]
            raise LatteError(f"extends itself: {' -> '.join(map(str, circle))}", where=where)
        if len(chain) > DEEPEST:
            raise LatteError(f"more than {DEEPEST} recipes extend one another", where=where)
        if found not in self.bases:
            root = self._base_tree(found, where)
            whole = self._with_bases(root, found, (*chain, found))
            self.bases[found] = whole.without([NAME])
        return self.bases[found]

    def _base_tree(self, path: Path, where: str) -> Node:
        """Return the recipe in the file `path`, which another recipe extends.

        If the file is not a recipe, the error does not quote its content.
        """
        text = read_text(path, LARGEST_FILE)
        try:
            document = compose(text, str(path))
        except LatteError as error:
            raise LatteError(
                "is not valid YAML", where=error.where, hint=f"Details: latte check {path}"
            ) from error
        mistakes = Mistakes()
        root = self._built(document, path, mistakes)
        if not {"extends", *KEYS} & {key for key, _ in root.items()}:
            what = f"{path} is not a recipe: it has no key that recipes have"
            raise LatteError(what, where=where)
        self.mistakes.found += mistakes.found
        return root

    def _built(self, document: YamlNode | None, path: Path, mistakes: Mistakes) -> Node:
        root = build_tree(document, str(path), self.environment, mistakes)
        self._broken |= _broken_origins(root)
        return spelled_out(root)


def _references(root: Node) -> Iterator[tuple[Node, KeyPath]]:
    """Yield each name or path in the key `extends` of `root`, with its key path."""
    extends = root.child("extends")
    if extends is None or extends.value is None:
        return
    several = isinstance(extends.value, list)
    for index, node in extends.items() if several else [(0, extends)]:
        place: KeyPath = ("extends", index) if several else ("extends",)
        where = Mistakes().where(node.origin, place)
        if node.broken or node.origin.variables:
            raise LatteError("takes no variables", where=where, hint="Write the name itself.")
        if not isinstance(node.value, str) or not node.value:
            expected = "the name of a recipe, a path, or a list of them"
            raise LatteError(wrong_type([expected], node)[0], where=where)
        yield node, place


def _find(reference: Node, path: Path, where: str) -> Path:
    """Return the path of the recipe that `reference` in the file `path` names."""
    name = str(reference.value)
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
    found = _beside(path, name)
    if found is None:
        target = path.parent / name
        try:
            names = [one.name for one in target.parent.iterdir() if one.suffix in SUFFIXES]
        except (OSError, ValueError):
            names = []
        near = did_you_mean(target.name, names) or None
        raise LatteError(f"there is no recipe {target}", where=where, hint=near)
    return found


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


def _broken_origins(node: Node) -> set[Origin]:
    below = {origin for _, child in node.items() for origin in _broken_origins(child)}
    return below | {node.origin} if node.broken else below
