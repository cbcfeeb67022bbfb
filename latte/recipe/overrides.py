"""`--set key.path=value`: changes to a recipe from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.recipe.controls import without_other_views
from latte.recipe.layout import LEARNERS, SEVERAL, item_names, kind_at, spelled_out
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import OVERRIDE, KeyPath, Node, Origin, dotted
from latte.recipe.tree import TreeBuilder, compose
from latte.registry.spec import USE

_ORIGIN = Origin(OVERRIDE)


def apply_overrides(
    root: Node, overrides: Sequence[str], environment: Mapping[str, str], mistakes: Mistakes
) -> Node:
    """Return the recipe `root` changed by `overrides`: texts such as `train.max_steps=100`.

    The key of a list item is its index or its name, for example `descriptions.image.prompt=...`. If
    `.use=` names another component, the options of the previous component are dropped. An override
    of `augmentation` removes the recipe's `train.augment`, and the other way round.
    """
    written: set[KeyPath] = set()
    for text in overrides:
        path, equals, value = text.partition("=")
        keys: KeyPath = tuple(int(key) if key.isdecimal() else key for key in path.split("."))
        if not equals or "" in keys:
            what, example = "is not KEY.PATH=VALUE", "As in: --set train.max_steps=100"
            mistakes.add(_ORIGIN, (text,), what, example)
            continue
        if keys[0] == "extends":
            what = "--set cannot change what a recipe extends"
            mistakes.add(_ORIGIN, keys, what, "Write a recipe of your own that extends both.")
            continue
        try:
            root = _put(root, (), keys, _parse(value, keys, environment, mistakes))
            written.add(keys[:2])
        except LatteError as error:
            mistakes.add(_ORIGIN, keys, error.what, error.hint)
    return _with_one_description_of_views(root, written)


def _with_one_description_of_views(root: Node, written: set[KeyPath]) -> Node:
    """Drop `augmentation` if overrides set only `train.augment`.

    If overrides set only `augmentation`, drop `train.augment`.
    """
    component = any(keys[0] == "augmentation" for keys in written)
    if component == (("train", "augment") in written):
        return root
    key = "augmentation" if component else "train"
    change = root.child(key)
    return without_other_views(root, Node({key: change}, _ORIGIN)) if change else root


def _parse(text: str, path: KeyPath, environment: Mapping[str, str], mistakes: Mistakes) -> Node:
    builder = TreeBuilder(OVERRIDE, environment, mistakes)
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return builder.scalar(text, _ORIGIN, path, quoted=False)
    composed = compose(text, OVERRIDE)
    assert composed is not None, "text that starts with a bracket or a quote is not empty"
    return builder.build(composed, path)


def _put(node: Node, path: KeyPath, rest: KeyPath, new: Node) -> Node:
    """Return a copy of `node` in which the value at the key path `rest` is `new`.

    `rest` is relative to `node`; `path` is the key path of `node` in the recipe.
    """
    if not rest:
        return new
    node, key, below = spelled_out(node, path), rest[0], rest[1:]
    if node.value is None:
        node = Node({}, _ORIGIN)
    if isinstance(node.value, list):
        key = _index(node, path, key)
        child = node.value[key]
    elif isinstance(node.value, dict):
        key = str(key)
        child = node.value.get(key, Node(None, _ORIGIN))
        in_list = below and (isinstance(below[0], int) or key in (*SEVERAL, LEARNERS))
        if in_list and child.value is None:
            name = dotted((*path, key))
            what = f"the recipe has no list {name}, so it has no item {below[0]}"
            raise LatteError(what, hint=f"Set all of it: --set '{name}=[...]'")
    else:
        raise LatteError(f"{dotted(path)} holds a single value, and nothing can be set below it")
    if key == USE and kind_at(path) and child.value != new.value:
        return Node({USE: new}, node.origin)
    return node.replaced(key, _put(child, (*path, key), below, new))


def _index(node: Node, path: KeyPath, key: str | int) -> int:
    """Return the index of the list item that `key` names by index or by name."""
    names = item_names(node)
    found = [key] if isinstance(key, int) else [i for i, name in enumerate(names) if name == key]
    if len(found) > 1:
        paths = " or ".join(dotted((*path, index)) for index in found)
        raise LatteError(f'{dotted(path)} has {len(found)} items "{key}"', hint=f"Write {paths}.")
    if found and found[0] < len(names):
        return found[0]
    known = f"its items are 0 to {len(names) - 1}" if names else "it is empty"
    named = [name for name in names if name]
    by_name = f" {suggestion(str(key), named, 'By name')}" if named else ""
    raise LatteError(
        f"{dotted(path)} is a list without an item {key}",
        hint=f"Items are counted from 0; {known}.{by_name}",
    )
