"""Read a `--set`, such as `train.max_steps=100`, as a small document: `train: {max_steps: 100}`."""

from __future__ import annotations

from dataclasses import replace

from latte.interfaces import LatteError
from latte.recipe.document import DocumentBuilder
from latte.recipe.places import OVERRIDE, Document, KeyPath, Layer, Place, full_path


def read_override(text: str, base: str, builder: DocumentBuilder) -> Layer | None:
    """Return the layer of the `--set` with this `text`, which changes the layer `base`.

    Reports mistakes to the builder, and returns None if the key or the value cannot be read.
    """
    name, equals, value = text.partition("=")
    key: KeyPath = tuple(name.split("."))
    if not equals or "" in key:
        what, example = "is not KEY.PATH=VALUE", "As in: --set train.max_steps=100"
        builder.mistakes.add(Place(OVERRIDE), (text,), what, example)
        return None
    if key[0] == "extends":
        what = "--set cannot change what a recipe extends"
        hint = "Write a recipe of your own that extends both."
        builder.mistakes.add(Place(OVERRIDE), key, what, hint)
        return None
    try:
        written = builder.build_text(value.strip(), key)
    except LatteError as error:
        builder.mistakes.add(Place(OVERRIDE), key, error.what, error.hint)
        return None
    document, value_path = _nested(written, key)
    return Layer(f"{base} {OVERRIDE} {text}", document, (base,), key, value_path)


def _nested(written: Document, key: KeyPath) -> tuple[Document, KeyPath]:
    """Return the value of a `--set` as a document of its key path in full, and this path.

    Lists are not known yet, so the index of an item is the key of a mapping: `labels: {"0": ...}`.
    """
    full, data, places = full_path(key), written.data, dict(written.places)
    is_short = full != key
    if full[-1] == 0:  # the only describer; null removes it
        data, full = [] if data is None else [data], full[:-1]
        places = {(*key, 0, *path[len(key) :]): place for path, place in places.items()}
        places[*key, 0] = replace(places[*key, 0], is_short=True)
        places[key] = Place(OVERRIDE)
    path: KeyPath = tuple(str(part) for part in full)
    for part in reversed(path):
        data = {str(part): data}
    above = {path[:end]: Place(OVERRIDE, is_short=is_short) for end in range(len(path))}
    below = {(*path, *value_path[len(key) :]): place for value_path, place in places.items()}
    return Document(data, {**above, **below}), path
