"""From the phrases that fit an image to one short English sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_DETERMINERS = ("a", "an", "the", "some", "two", "three", "many", "several")
_SAID_WITH_A = ("uni", "use", "eu", "ewe", "uku", "ufo", "one")
_SAID_WITH_AN = ("hour", "heir", "honest", "x-ray")
_SINGULAR_ENDINGS = ("ss", "us", "is", "as", "lens", "ceros")

# What a sentence that is too long loses first; `objects` always keeps one.
_DROPPED_FIRST = (
    *("textures", "objects", "objects", "objects", "textures"),
    *("scenes", "objects", "materials", "colours"),
)


def sentence(found: Mapping[str, Sequence[str]], words: int) -> str:
    """A sentence of at most `words` words about `found`: phrases by section, the best first.

    "a red metal guitar, like a violin or a cello, smooth and glossy, in a concert hall."
    """
    kept = {section: list(phrases) for section, phrases in found.items()}
    text = _render(kept)
    for section in _DROPPED_FIRST:
        if len(text.split()) <= words:
            break
        if len(kept[section]) > (section == "objects"):
            kept[section].pop()
            text = _render(kept)
    return text


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an", unless it is a plural or brings its own article."""
    first = phrase.split()[0].lower()
    if first in _DETERMINERS or _is_plural(phrase):
        return phrase
    vowel = first.startswith(_SAID_WITH_AN) or (
        first[0] in "aeiou" and not first.startswith(_SAID_WITH_A)
    )
    return f"{'an' if vowel else 'a'} {phrase}"


def _is_plural(phrase: str) -> bool:
    head = phrase.split(" of ")[0].split()[-1]
    return head.endswith("s") and not head.endswith(_SINGULAR_ENDINGS)


def _render(kept: Mapping[str, Sequence[str]]) -> str:
    name, *similar = kept["objects"]
    parts = [with_article(" ".join([*kept["colours"], *kept["materials"], name]))]
    if similar:
        parts.append("like " + _either([with_article(other) for other in similar]))
    if kept["textures"]:
        parts.append(" and ".join(kept["textures"]))
    return ", ".join([*parts, *kept["scenes"]]) + "."


def _either(phrases: Sequence[str]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last
