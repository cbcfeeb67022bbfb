"""Gate `refusal`: holds back answers in which a model refuses to describe."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field, field_validator

from latte.api import Gate, GatedText, GateSubject, Options
from latte.components.gates.words import folded, words

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
"""Patterns of refusals, for text after `folded`: a model mentions itself or a missing image."""


class RefusalOptions(Options):
    """Additional phrases that mark a refusal."""

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
    """Holds back texts with a phrase of `PATTERNS` or of the option `also`.

    The patterns are English. They require that the model mentions itself, its instructions or a
    missing image, so that "a dog that cannot see over the fence" passes.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return a reason for each text that is held back; see `Gate`."""
        refusal = _compiled(self.options.also)
        return [_verdict(refusal.search(_spaced(folded(one.text)))) for one in texts]


def _compiled(also: Sequence[str]) -> re.Pattern[str]:
    phrases = (rf"(?<!\w){re.escape(_spaced(folded(phrase)))}(?!\w)" for phrase in also)
    return re.compile("|".join((*PATTERNS, *phrases)))


def _spaced(text: str) -> str:
    """Return `text` with each run of white space replaced by one space."""
    return " ".join(text.split())


def _verdict(found: re.Match[str] | None) -> str | None:
    return f"it says `{found[0].strip()}`" if found else None
