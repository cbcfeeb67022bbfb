"""Gate `language`: holds back (filters out) texts in another script or language."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

from pydantic import Field

from latte.api import Gate, GatedText, GateSubject, Options
from latte.components.gates.wording import words

Language = Literal[
    "english",
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "polish",
    "russian",
    "greek",
    "arabic",
    "hebrew",
    "hindi",
    "thai",
    "chinese",
    "japanese",
    "korean",
]

LANGUAGES: tuple[Language, ...] = get_args(Language)


class LanguageOptions(Options):
    """Options of gate `language`: the language that texts must have."""

    language: Language = Field(
        default="english",
        description="required language; Latin-script languages are distinguished by frequent "
        "words, others by script alone",
    )
    share: float = Field(
        default=0.8, ge=0, le=1, description="smallest share of a text's letters in its script"
    )


class LanguageGate(Gate[LanguageOptions]):
    """Filters out texts in another script or language.

    At least the fraction `share` of a text's letters must belong to the script of the option
    `language`. If this is the Latin script, a text is also held back if it has at least two
    frequent words (`COMMON_WORDS`) of another language, and fewer of the required language.

    Limits: languages that share a script other than Latin, such as Russian and Ukrainian, are not
    distinguished. Latin-script languages without an entry in `COMMON_WORDS` are not recognised. A
    list of nouns without frequent words passes, and so does a text with a small foreign part.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return for each text None if it passes, else the reason why it is filtered out."""
        return [self._script(one.text) or self._language(one.text) for one in texts]

    def _script(self, text: str) -> str | None:
        letters = [char for char in text if char.isalpha()]
        if not letters:
            return "it has no letters"
        scripts = SCRIPTS.get(self.options.language, LATIN)
        share = sum(_is_of(char, scripts) for char in letters) / len(letters)
        if share >= self.options.share:
            return None
        return f"{share:.0%} of its letters are {self.options.language}"

    def _language(self, text: str) -> str | None:
        expected = self.options.language
        if expected not in COMMON_WORDS:
            return None
        hits = Counter(name for word in words(text) for name in _LANGUAGES_OF.get(word, ()))
        best = max(COMMON_WORDS, key=lambda name: hits[name])
        if hits[best] <= max(hits[expected], _BY_ACCIDENT):
            return None
        return f"{hits[best]} of its words are {best} and {hits[expected]} {expected}"


@lru_cache(maxsize=65536)
def _is_of(letter: str, scripts: tuple[str, ...]) -> bool:
    return unicodedata.name(letter, "").startswith(scripts)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON_WORDS: dict[Language, frozenset[str]] = {
    "english": _words(
        "the a an and of is are was in on at with to from by for it its this that these those has "
        "have there which while some no not their be as or into over under behind against"
    ),
    "german": _words(
        "der die das den dem des ein eine einen einem einer eines und ist sind im am auf mit von "
        "zu zum zur aus bei für es nicht sich vor auch wird hat in an"
    ),
    "french": _words(
        "le la les un une des du de et est sont dans sur avec au aux par pour il elle ce cette ces "
        "qui que ne pas son sa ses sous devant"
    ),
    "spanish": _words(
        "el la los las un una unos unas de del y es son en con al por para se su sus este esta que "
        "no hay está están sobre como a"
    ),
    "italian": _words(
        "il lo la i gli le un uno una di del della dei delle e è sono in nel nella con su sul al "
        "alla per da che si non questo questa"
    ),
    "portuguese": _words(
        "o a os as um uma de do da dos das e é são em no na nos nas com ao à por para se que não "
        "este esta está sobre"
    ),
    "dutch": _words(
        "de het een en van is zijn in op met aan bij voor naar uit te dat die deze dit niet er "
        "door over ook wordt"
    ),
    "polish": _words("i w na z ze do jest są się nie to ten ta o po przed od przez oraz"),
}
"""Frequent words per Latin-script language; some words occur in several languages."""

_BY_ACCIDENT = 1
"""Words of another language that a text may have: `die` and `no` are also English words."""

_LANGUAGES_OF = {
    word: [name for name, common in COMMON_WORDS.items() if word in common]
    for word in set().union(*COMMON_WORDS.values())
}

SCRIPTS: dict[Language, tuple[str, ...]] = {
    "russian": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "hindi": ("DEVANAGARI",),
    "thai": ("THAI",),
    "chinese": ("CJK",),
    "japanese": ("CJK", "HIRAGANA", "KATAKANA"),
    "korean": ("HANGUL",),
}
"""Prefixes of the Unicode names of each language's letters; languages not here use `LATIN`."""

LATIN = ("LATIN",)
