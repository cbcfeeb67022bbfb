"""Finds class names in texts: one table for all classes, looked up word by word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from pydantic import Field

from latte.api import Gate, GatedText, GateSubject, LatteError, Options
from latte.components.gates.words import words

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
    """`word`, and what it may be the English plural of; some of that may be no word at all.

    Regular plurals, -men, -i and a few irregular ones; also without a possessive 's.
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


class LeakageOptions(Options):
    """Which class names a text must not hold."""

    names: Literal["own", "other", "any"] = Field(
        default="any", description="own: that of the text's frozen label; other: all but that one"
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="classes whose names are common words, which texts may hold"
    )


class ClassNames:
    """Where class names occur in texts, as whole words.

    Case does not matter, and hyphens, underscores and punctuation count as spaces: `T-shirt` is in
    "a t shirt", `golden_retriever` in "Golden Retrievers". The last word of a name may be in the
    plural, in the text or in the name. Of names that begin at the same word the longest counts,
    and its words belong to no other: "a polar bear" names no `bear`. Not found: other spellings
    and synonyms, names without letters or digits, and names within a run of a script that writes
    no spaces between words.

    Building takes time by the number of classes, finding only by that of the text's words.
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
        """Numbers of words of the names of several words, by first word, longest first."""
        self._single: dict[str, frozenset[str]] = {}
        """Classes by single words of texts that were met: texts share most of their words."""

    def found(self, text: str) -> Iterator[frozenset[str]]:
        """The classes of each name in `text`, from left to right; several where they share one."""
        written = words(text)
        place = 0
        while place < len(written):
            length, classes = self._longest_at(written, place)
            if classes:
                yield classes
            place += length

    def _longest_at(self, written: Sequence[str], place: int) -> tuple[int, frozenset[str]]:
        """How many words the longest name at `place` has, and its classes; 1 and none without."""
        first = written[place]
        for length in self._lengths.get(first, ()):
            classes = self._called(tuple(written[place : place + length]))
            if classes:
                return length, classes
        if first not in self._single:
            self._single[first] = self._called((first,))
        return 1, self._single[first]

    def _called(self, name: tuple[str, ...]) -> frozenset[str]:
        """The classes that are called `name`, whose last word may be a plural."""
        *head, last = name
        keys = ((*head, form) for form in singulars(last))
        return frozenset(one for key in keys for one in self._classes.get(key, ()))


# Texts that name a class: they repeat a pseudo-label, right or wrong, in place of what is seen.


class LeakageGate(Gate[LeakageOptions]):
    """Holds back texts that name the class of their frozen label, another class, or any.

    How names are found: `ClassNames`. Where several classes share a name, it counts as the own
    one if that is among them.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """See `Gate`. Raises `LatteError` if an option names a class that there is not."""
        for name in self.options.ignore:
            _check(name, subject.class_names)
        names = ClassNames(subject.class_names)
        return [self._verdict(one, names) for one in texts]

    def _verdict(self, written: GatedText, names: ClassNames) -> str | None:
        for found in names.found(written.text):
            classes = found.difference(self.options.ignore)
            own = written.class_name in classes
            if classes and self.options.names in ("any", "own" if own else "other"):
                named = written.class_name if own else min(classes)
                return f"it names {'its own' if own else 'the'} class `{named}`"
        return None


def _check(name: str, class_names: Sequence[str]) -> None:
    if name in class_names:
        return
    near = get_close_matches(name, class_names, n=1)
    raise LatteError(
        f"there is no class `{name}` to ignore" + (f"; did you mean `{near[0]}`?" if near else ""),
        where="gates: leakage",
        hint="write class names in `ignore` exactly as the dataset has them",
    )
