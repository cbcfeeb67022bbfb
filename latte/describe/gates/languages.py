"""What tells languages apart: letters, and the commonest words where the letters are Latin."""

from __future__ import annotations

from typing import Literal, get_args

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
"""Words that are frequent in any text, by language; some are common to several of them."""

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
"""How the Unicode names of a language's letters begin; Latin where it is not here."""
LATIN = ("LATIN",)
