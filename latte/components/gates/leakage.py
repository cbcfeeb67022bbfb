"""Gate `leakage`: holds back texts that name a class.

Such a text may repeat the pseudo-label instead of describing the image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from pydantic import Field

from latte.api import Gate, GatedText, GateSubject, LatteError, Options, did_you_mean
from latte.components.gates.wording import words


class LeakageOptions(Options):
    """Options of gate `leakage`: the class names that a text must not contain."""

    names: Literal["own", "other", "any"] = Field(
        default="any", description="own: the text's zero-shot label; other: all other classes"
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="classes whose names are common words and allowed"
    )


class LeakageGate(Gate[LeakageOptions]):
    """Filters out texts that contain a class name.

    The option `names` selects names of the zero-shot class (`own`), of other classes (`other`) or
    of `any` class. `NameFinder` finds the names. If the zero-shot class shares a name with another
    class, the name counts as `own`.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return for each text None if it passes, else the reason why it is filtered out.

        Raises `LatteError` if the option `ignore` names an unknown class.
        """
        for name in self.options.ignore:
            if name not in subject.class_names:
                raise LatteError(
                    f"there is no class `{name}` to ignore",
                    where="gates: leakage",
                    hint=did_you_mean(name, subject.class_names)
                    or "write class names in `ignore` exactly as the dataset has them",
                )
        names = NameFinder(subject.class_names)
        return [self._verdict(one, names) for one in texts]

    def _verdict(self, written: GatedText, names: NameFinder) -> str | None:
        for found in names.found(written.text):
            classes = found.difference(self.options.ignore)
            own = written.class_name in classes
            if classes and self.options.names in ("any", "own" if own else "other"):
                named = written.class_name if own else min(classes)
                return f"it names {'its own' if own else 'the'} class `{named}`"
        return None


class NameFinder:
    """Finds class names in texts, as whole words.

    Case is ignored, and hyphens, underscores and punctuation count as spaces: `T-shirt` is found in
    "a t shirt", `golden_retriever` in "Golden Retrievers". The last word of a name may be a plural,
    in the text or in the name. If several names begin at the same word of the text, only the
    longest is found, and the search continues after it: in "a polar bear", `bear` is not found.
    Other spellings, synonyms, names without letters or digits, and names in scripts without spaces
    between words are not found.

    The time of a search depends only on the length of the text.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._classes: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for name in class_names:
            *head, last = words(name) or [""]
            if not last:
                continue
            for form in singulars(last):
                self._classes[(*head, form)].add(name)
            if head:
                lengths[head[0]].add(len(head) + 1)
        self._lengths = {word: sorted(found, reverse=True) for word, found in lengths.items()}
        """Lengths (in words, longest first) of the names with several words, by first word."""
        self._single: dict[str, frozenset[str]] = {}
        """Cache of `_called` for single words; texts have most of their words in common."""

    def found(self, text: str) -> Iterator[frozenset[str]]:
        """Find class names in `text`, from left to right; yield the classes with each name."""
        written = words(text)
        place = 0
        while place < len(written):
            length, classes = self._longest_at(written, place)
            if classes:
                yield classes
            place += length

    def _longest_at(self, written: Sequence[str], place: int) -> tuple[int, frozenset[str]]:
        """Find the longest class name that begins at word `place`; return its length and classes.

        The length is in words. If no name begins there, return 1 and an empty set.
        """
        first = written[place]
        for length in self._lengths.get(first, ()):
            classes = self._called(tuple(written[place : place + length]))
            if classes:
                return length, classes
        if first not in self._single:
            self._single[first] = self._called((first,))
        return 1, self._single[first]

    def _called(self, name: tuple[str, ...]) -> frozenset[str]:
        *head, last = name
        keys = ((*head, form) for form in singulars(last))
        return frozenset(one for key in keys for one in self._classes.get(key, ()))


_IRREGULAR = {
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "teeth": "tooth",
}

_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("i", "us"))

_HISSING = ("ses", "xes", "zes", "ches", "shes", "oes")


@lru_cache(maxsize=65536)
def singulars(word: str) -> tuple[str, ...]:
    """Return `word` and its possible English singulars; not every result is a real word.

    Covers regular plurals, -men, -i and a few irregular plurals, and removes a possessive 's.
    """
    word = word.removesuffix("'s")
    found = [word]
    if word in _IRREGULAR:
        found.append(_IRREGULAR[word])
    for ending, singular in _ENDINGS:
        if len(word) > len(ending) + 1 and word.endswith(ending):
            found.append(word.removesuffix(ending) + singular)
    if word.endswith(_HISSING) and len(word) > 4:
        found.append(word[:-2])
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        found.append(word[:-1])
    return tuple(dict.fromkeys(found))
