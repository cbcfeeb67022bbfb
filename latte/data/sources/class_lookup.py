"""Spelling of class names in lists, and the class that a name means."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from latte.interfaces import LatteError
from latte.interfaces.errors import nearest
from latte.io.paths import safe_name, some

ALIAS_SEPARATOR = " | "
"""Separator between the names of a class that has several names."""
CLASS_FOLDERS = "folders"
"""Value of a dataset's `classes` for which the names of the sub-folders are the class names."""


class ClassLookup:
    """Lookup of labels by class name; small differences in spelling are ignored.

    An exact match is preferred. Without one, case and Unicode form are ignored, and `_` counts as a
    space. The name of a folder that `latte predict --sort-into` made for a class is found too.

    Example:
        >>> from latte.api import ClassLookup
        >>> ClassLookup(["polar bear", "seal"]).label("Polar_Bear", where="labels.csv:2")
        0
    """

    def __init__(self, names: Sequence[str], aliases: Sequence[Sequence[str]] = ()) -> None:
        """Look up classes by `names`, or by all names of each class if `aliases` lists them."""
        self._names = names
        self._exact = {
            name: label
            for label, of_class in enumerate(aliases or [(name,) for name in names])
            for name in of_class
        }
        self._loose: defaultdict[str, list[str]] = defaultdict(list)
        self._folders: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._exact:
            self._loose[loosely(name)].append(name)
            self._folders[loosely(safe_name(name))].append(name)

    def label(self, name: str, where: str) -> int:
        """Return the label of `name`. Raises `LatteError` for an unknown or ambiguous name."""
        if name in self._exact:
            return self._exact[name]
        loose_name = loosely(name)
        candidates = self._loose.get(loose_name) or self._folders.get(loose_name, [])
        if len({self._exact[candidate] for candidate in candidates}) == 1:
            return self._exact[candidates[0]]
        if candidates:
            raise LatteError(
                f"class {name!r} could be any of {some(candidates)}",
                where=where,
                hint="Write it exactly as in the class names.",
            )
        hint = f"The classes are {some(self._names)}."
        if nearest_name := nearest(loose_name, self._loose):
            hint = f'Did you mean "{self._loose[nearest_name][0]}"?'
        raise LatteError(f"unknown class {name!r}", where=where, hint=hint)


def loosely(name: str) -> str:
    """Return a name without the differences in spelling that a lookup ignores."""
    return unicodedata.normalize("NFC", " ".join(name.replace("_", " ").casefold().split()))
