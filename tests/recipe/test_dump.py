"""Dumped YAML, which readers of YAML 1.1 and 1.2 read alike."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from latte.recipe.document import DocumentBuilder
from latte.recipe.dump import dump_yaml
from latte.recipe.errors import Mistakes
from latte.recipe.syntax import compose

KEYS = st.text(st.characters(codec="utf-8"), max_size=20)
TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**30), max_value=10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
DATA = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(KEYS, below, max_size=4)),
    max_leaves=12,
)


def read(text: str) -> object:
    mistakes = Mistakes()
    document = DocumentBuilder("x.yaml", {}, mistakes).build(compose(text, "x.yaml"))
    mistakes.raise_if_any()
    return document.data


@settings(deadline=None)
@given(DATA)
def test_dumped_data_are_read_back(data: object) -> None:
    assert repr(read(dump_yaml(data))) == repr(data)


@settings(deadline=None)
@given(DATA)
def test_readers_of_yaml_1_1_read_the_same(data: object) -> None:
    text = dump_yaml(data)
    if "${" not in text:
        assert repr(yaml.safe_load(text)) == repr(data)


MISREAD_WORDS = ["no", "Yes", "on", "y", "null", "~", "", ".inf", "=", "<<"]
MISREAD_NUMBERS = ["12:30", "1e-6", "010", "0o7", "0x1", "1_000", "2024-01-01", ".5", "."]
MISREAD_SYNTAX = [" a", "- a", "a: b", "a #b", "a:", "*a", "&a", "!a", "%a", "@a", "`a", "'a"]
MISREAD_CHARACTERS = ['"a"', "a\nb", "a\tb", "\x00", "\u2028", "\ufeff", "[a]", "{a}"]


@pytest.mark.parametrize(
    "text", [*MISREAD_WORDS, *MISREAD_NUMBERS, *MISREAD_SYNTAX, *MISREAD_CHARACTERS]
)
def test_ambiguous_text_is_quoted(text: str) -> None:
    assert dump_yaml({"key": text}).startswith('key: "')


@pytest.mark.parametrize(
    "text", ["ViT-B-32", "hf-hub:laion/x", "./photos", "a photo of it", "latte-tiny/clip", "cuda:0"]
)
def test_unambiguous_text_is_not_quoted(text: str) -> None:
    assert dump_yaml({"key": text}) == f"key: {text}\n"


def test_layout_of_lists_and_mappings() -> None:
    data = {
        "rate": 1e-7,
        "betas": [0.9, 0.98],
        "none": [],
        "list": [{"use": "a", "below": {"x": True}}, ["b", ["c"]]],
        "long": ["x" * 50, "y" * 50],
    }
    assert dump_yaml(data) == (
        "rate: 1.0e-07\n"
        "betas: [0.9, 0.98]\n"
        "none: []\n"
        "list:\n"
        "  - use: a\n"
        "    below:\n"
        "      x: true\n"
        "  - - b\n"
        "    - [c]\n"
        "long:\n"
        f"  - {'x' * 50}\n"
        f"  - {'y' * 50}\n"
    )


def test_a_variable_in_a_text_is_escaped() -> None:
    assert dump_yaml({"key": "${HOME}"}) == 'key: "$${HOME}"\n'
