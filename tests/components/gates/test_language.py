"""Texts in another script or language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates.language import (
    COMMON_WORDS,
    LANGUAGES,
    SCRIPTS,
    Language,
    LanguageGate,
    LanguageOptions,
)
from tests.helpers.gate_judging import ANY_TEXT, reason

TEXTS: dict[Language, str] = {
    "english": "A small brown dog is running over the wet grass in a park.",
    "german": "Ein kleiner brauner Hund läuft im Park über die nasse Wiese und ist nicht allein.",
    "french": "Un petit chien brun court sur la pelouse mouillée dans un parc avec des arbres.",
    "spanish": "Un perro pequeño corre por la hierba mojada en el parque con unos árboles.",
    "italian": "Un piccolo cane marrone corre sul prato bagnato della città con gli alberi.",
    "portuguese": "Um cachorro pequeno corre na grama molhada em um parque com as árvores.",
    "dutch": "Een kleine bruine hond rent over het natte gras van het park bij de bomen.",
    "polish": "Mały brązowy pies biega po mokrej trawie w parku i nie jest sam przed drzewem.",
    "russian": "Маленькая собака бежит по мокрой траве.",
    "greek": "Ένας μικρός σκύλος τρέχει στο βρεγμένο γρασίδι.",
    "arabic": "كلب صغير يركض على العشب المبلل",
    "hebrew": "כלב קטן רץ על הדשא הרטוב",
    "hindi": "एक छोटा कुत्ता गीली घास पर दौड़ रहा है",
    "thai": "สุนัขตัวเล็กวิ่งบนหญ้าเปียก",
    "chinese": "一只小狗在湿草地上奔跑",
    "japanese": "小さな犬が濡れた草の上を走っています",
    "korean": "작은 개가 젖은 풀밭 위를 달린다",
}


def test_there_is_a_text_in_every_language_and_words_where_the_script_is_latin() -> None:
    assert {*TEXTS} == {*LANGUAGES}
    assert {*COMMON_WORDS} | {*SCRIPTS} == {*LANGUAGES}
    assert not {*COMMON_WORDS} & {*SCRIPTS}


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_the_expected_language_passes(language: Language) -> None:
    options = LanguageOptions(language=language)
    passing = {name for name, text in TEXTS.items() if reason(LanguageGate, options, text) is None}
    same_letters: dict[Language, set[Language]] = {"japanese": {"chinese"}}
    assert passing == {language} | same_letters.get(language, set())


@pytest.mark.parametrize(
    "text",
    [
        "red car, blue sky, no people",
        "die",
        "a crème brûlée in a café in São Paulo",
        "The sign reads 'Der Spiegel' in white letters.",
        "a plate of pad thai (ผัดไทย) with the lime on it",
    ],
)
def test_english_with_foreign_words_or_without_common_ones_passes(text: str) -> None:
    assert reason(LanguageGate, LanguageOptions(), text) is None


def test_the_reason_says_what_was_found() -> None:
    german = reason(LanguageGate, LanguageOptions(), "der Hund und die Katze")
    assert german == "3 of its words are german and 0 english"
    assert reason(LanguageGate, LanguageOptions(), "犬 ab") == "67% of its letters are english"
    assert reason(LanguageGate, LanguageOptions(), "12 : 30 !") == "it has no letters"


@given(ANY_TEXT, st.floats(0, 1), st.floats(0, 1), st.sampled_from(LANGUAGES))
def test_a_smaller_share_holds_back_no_more(
    text: str, one: float, other: float, language: Language
) -> None:
    strict = LanguageOptions(language=language, share=max(one, other))
    lenient = LanguageOptions(language=language, share=min(one, other))
    if reason(LanguageGate, strict, text) is None:
        assert reason(LanguageGate, lenient, text) is None
