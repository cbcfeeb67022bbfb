"""Gates that hold back (filter out) unusable texts: `length`, `repetition` and `refusal`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from pydantic import Field, ValidationInfo, field_validator

from latte.api import Gate, GatedText, GateSubject, Options

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def folded(text: str) -> str:
    """Return `text` for comparisons: case-folded, in Unicode form NFKC, with plain apostrophes."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.replace("\u2019", "'").replace("\u02bc", "'")


def words(text: str) -> list[str]:
    """Split a text into words: runs of letters and digits, as in `don't` or `3d`.

    Words are `folded`, so their case does not matter. Hyphens and underscores separate words.
    Scripts without spaces between words, such as Chinese, give one word per clause.
    """
    return _WORD.findall(folded(text))


class LengthOptions(Options):
    """Options of gate `length`: smallest and largest number of words of a text."""

    at_least: int = Field(default=3, ge=1, description="fewest words")
    at_most: int = Field(default=60, ge=1, description="most words")

    @field_validator("at_most")
    @classmethod
    def _leaves_room(cls, at_most: int, info: ValidationInfo) -> int:
        at_least = info.data.get("at_least")
        if at_least is not None and at_most < at_least:
            raise ValueError(f"must not be smaller than at_least, which is {at_least}")
        return at_most


class LengthGate(Gate[LengthOptions]):
    """Filters out texts with too few or too many words; words are separated by white space.

    In scripts without spaces, such as Chinese, a whole text is one word.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return for each text None if it passes, else the reason why it is filtered out."""
        return [self._verdict(len(gated_text.text.split())) for gated_text in texts]

    def _verdict(self, words: int) -> str | None:
        fewest_words, most_words = self.options.at_least, self.options.at_most
        if words < fewest_words:
            return f"{words} {'word' if words == 1 else 'words'}, fewer than {fewest_words}"
        return f"{words} words, more than {most_words}" if words > most_words else None


_SEQUENCE = 3
"""Length of the compared word sequences, in words."""


class RepetitionOptions(Options):
    """Options of gate `repetition`: the largest allowed repetition."""

    within: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="largest share of a text's three-word sequences that occurred in it before",
    )
    across: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="largest share of a description's texts that may be equal; raise it for a few "
        "classes that look alike",
    )


class RepetitionGate(Gate[RepetitionOptions]):
    """Filters out texts that repeat word sequences, and texts that many images have in common.

    Comparisons ignore case, punctuation and spaces. A text that occurs once is not a repetition.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return for each text None if it passes, else the reason why it is filtered out."""
        word_lists = [tuple(words(gated_text.text)) or (gated_text.text,) for gated_text in texts]
        counts = Counter(word_lists)
        return [self._verdict(word_list, counts[word_list], len(texts)) for word_list in word_lists]

    def _verdict(self, words: Sequence[str], equal_texts: int, total: int) -> str | None:
        share = repeated_share(words)
        if share > self.options.within:
            return f"{share:.0%} of its word sequences are repetitions"
        if equal_texts > max(1, self.options.across * total):
            return f"the same text {equal_texts:,} times among {total:,}"
        return None


def repeated_share(words: Sequence[str]) -> float:
    """Return the fraction of a text's three-word sequences that repeat an earlier sequence.

    The fraction is 0 without repetition, about 0.5 for a sentence written twice, and near 1 for a
    sentence that is repeated many times.
    """
    total = len(words) - _SEQUENCE + 1
    if total < 1:
        return 0.0
    distinct_sequences = {tuple(words[i : i + _SEQUENCE]) for i in range(total)}
    return 1 - len(distinct_sequences) / total


_PICTURE = r"(?:images?|photos?|pictures?|photographs?|attachments?|files?)"
_WORK = (
    r"(?:see|view|access|open|load|process|analy[sz]e|describe|identify|recogni[sz]e|determine|"
    r"provide|assist|help|answer|comply|fulfill?|generate|comment|display|tell)"
)
_CANNOT = r"(?:cannot|can't|can not|could not|couldn't|won't|will not)"
_UNABLE = r"(?:unable|not able)"
PATTERNS = (
    r"^\W*(?:sorry|apologies|unfortunately, (?:i|we|the|there)|my apologies)\b",
    r"\b(?:i'm|i am|we're|we are) (?:\w+ )?(?:sorry|afraid)\b",
    r"\b(?:i|we) apologi[sz]e\b",
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|language model|vision model|assistant)\b",
    rf"\bi {_CANNOT} (?:\w+ )?{_WORK}\b",
    rf"\b(?:i'm|i am) {_UNABLE} to\b",
    rf"\b{_UNABLE} to (?:see|view|access|open|load|process|display) (?:\w+ ){{0,3}}{_PICTURE}\b",
    rf"\b{_UNABLE} to (?:assist|help|comply|fulfill?|provide|describe|answer)\b",
    r"\bi (?:don't|do not) have (?:the ability|the capability|access|any information)\b",
    rf"\bi (?:don't|do not) see (?:an|any|the) {_PICTURE}\b",
    rf"\bno {_PICTURE} (?:(?:was|were|is|are|has been|have been) )?"
    r"(?:provided|attached|uploaded|available|shared|given|included)\b",
    rf"\b{_PICTURE} (?:(?:is|are|was|were|has|have|did|does|could) not|isn't|aren't|wasn't|"
    r"weren't|didn't|doesn't|couldn't|cannot|can't) (?:been )?(?:be )?"
    r"(?:provided|attached|uploaded|available|accessible|load|loaded|displayed|processed|opened)\b",
    r"\bplease (?:provide|upload|attach|share|send) (?:\w+ ){0,4}" + _PICTURE + r"\b",
    r"\bagainst (?:my|the|our|openai's) (?:\w+ )?(?:guidelines|polic(?:y|ies)|programming)\b",
)
"""Regular expressions that find refusals in `folded` texts: a model mentions itself, its
instructions or a missing image."""


class RefusalOptions(Options):
    """Options of gate `refusal`: additional phrases that mark a refusal."""

    also: tuple[str, ...] = Field(
        default=(), description="more phrases that mark one, as plain text; case does not matter"
    )

    @field_validator("also")
    @classmethod
    def _says_something(cls, also: tuple[str, ...]) -> tuple[str, ...]:
        if any(not words(phrase) for phrase in also):
            raise ValueError("a phrase needs at least one word")
        return also


class RefusalGate(Gate[RefusalOptions]):
    """Filters out refusals: texts that match `PATTERNS` or contain a phrase of the option `also`.

    The patterns are English. They match only if the model mentions itself, its instructions or a
    missing image, so that "a dog that cannot see over the fence" passes.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return for each text None if it passes, else the reason why it is filtered out."""
        phrase_patterns = (re.escape(_spaced(folded(phrase))) for phrase in self.options.also)
        refusal_pattern = re.compile(
            "|".join((*PATTERNS, *(rf"(?<!\w){pattern}(?!\w)" for pattern in phrase_patterns)))
        )
        matches = (refusal_pattern.search(_spaced(folded(gated_text.text))) for gated_text in texts)
        return [f"it says `{match[0].strip()}`" if match else None for match in matches]


def _spaced(text: str) -> str:
    return " ".join(text.split())
