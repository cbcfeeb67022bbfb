"""Options of the built-in gates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from latte.components.gates.language import Language
from latte.components.gates.words import words
from latte.interfaces import Options


class LengthOptions(Options):
    """How long a text may be."""

    at_least: int = Field(default=3, ge=1, description="fewest words")
    at_most: int = Field(default=60, ge=1, description="most words")

    @field_validator("at_most")
    @classmethod
    def _leaves_room(cls, at_most: int, info: ValidationInfo) -> int:
        at_least = info.data.get("at_least")
        if at_least is not None and at_most < at_least:
            raise ValueError(f"must not be smaller than at_least, which is {at_least}")
        return at_most


class LanguageOptions(Options):
    """Which language texts must be in."""

    language: Language = Field(
        default="english",
        description=(
            "those in Latin letters are told apart by their commonest words, others by script alone"
        ),
    )
    share: float = Field(
        default=0.8, ge=0, le=1, description="smallest share of a text's letters in its script"
    )


class RepetitionOptions(Options):
    """How much may be repeated."""

    within: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="largest share of a text's three-word sequences that stood in it before",
    )
    across: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description=(
            "largest share of a description's texts that may be equal; raise it for a few classes "
            "that look alike"
        ),
    )


class RefusalOptions(Options):
    """Which texts are refusals."""

    also: tuple[str, ...] = Field(
        default=(), description="more phrases that mark one, as plain text; case does not matter"
    )

    @field_validator("also")
    @classmethod
    def _says_something(cls, also: tuple[str, ...]) -> tuple[str, ...]:
        if any(not words(phrase) for phrase in also):
            raise ValueError("a phrase needs at least one word")
        return also


class LeakageOptions(Options):
    """Which class names a text must not hold."""

    names: Literal["own", "other", "any"] = Field(
        default="any", description="own: that of the text's frozen label; other: all but that one"
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="classes whose names are common words, which texts may hold"
    )
