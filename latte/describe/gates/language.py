"""Texts in another language than the recipe expects."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from latte.describe.gates.languages import COMMON_WORDS, LATIN, SCRIPTS
from latte.describe.gates.options import LanguageOptions
from latte.describe.gates.words import words
from latte.interfaces import Gate, GatedText, GateSubject

_BY_ACCIDENT = 1
"""So many common words of another language mean nothing: `die` and `no` are English, too."""
_LANGUAGES_OF = {
    word: [name for name, common in COMMON_WORDS.items() if word in common]
    for word in set().union(*COMMON_WORDS.values())
}


class LanguageGate(Gate[LanguageOptions]):
    """Holds back texts in another script, and in another known language of Latin letters.

    A text needs `share` of its letters in the language's script. Where that is Latin, its words
    are looked up among the commonest of each language in `COMMON_WORDS`: it is held back if
    another language has more of them, and at least two.

    What it cannot do: tell languages that share another script apart, such as Russian and
    Ukrainian; notice a language of Latin letters that it has no words of; judge a list of nouns,
    which has no common words and passes; or notice a second language that takes up less of a text.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """See `Gate`."""
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
