"""The exported tokenizer gives open_clip's tokens, whatever the text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from latte.export.tokenizer import clip_tokenizer
from latte.interfaces import LatteError

transformers = pytest.importorskip("transformers")

LENGTH = 32
OURS = SimpleTokenizer(context_length=LENGTH)

ODD = [
    "a photo of a cat.",
    "",
    "  two  spaces \t and\na line ",
    "It’s “quoted” — isn’t it? don't we'll I'D they'RE",
    "café CAFÉ cafe\u0301",
    "ﬁne ＦＵＬＬ　width ﾊﾝｶｸ",
    "日本語のテキスト",
    "🐱🐶 emoji 👩‍👩‍👧",
    "a &amp; b &lt;c&gt; &quot;d&quot; &amp;amp;",
    "12345 1,000.5 ½ ² ①",
    "<end_of_text> in the middle <start_of_text>",
    "<|endoftext|> of another tokenizer",
    "ÀÉÎÕÜ Straße İstanbul ΣΊΣΥΦΟΣ",
    "x" * 300,
    "word " * 100,
    "_under_score-hyphen!!!???",
    "\x00\x07bell \x1b[31mred\x1b[0m \ufeffbom",
    "e\u0301\u200b zero\u00adwidth a\u2028b",
    "ĳ Ǆ ŉ",
]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    clip_tokenizer(OURS, LENGTH).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def same_tokens(theirs: Any, text: str) -> bool:
    """Return the tokens up to the first end-of-text token; the others are padding."""
    end = OURS.eot_token_id
    ours = OURS([text])[0].tolist()
    encoded = theirs([text], padding="max_length", truncation=True, max_length=LENGTH)
    their_tokens = encoded["input_ids"][0]
    assert len(their_tokens) == LENGTH
    return bool(ours[: ours.index(end) + 1] == their_tokens[: their_tokens.index(end) + 1])


@pytest.mark.parametrize("text", ODD)
def test_tokens_of_odd_texts_equal_those_of_open_clip(text: str, theirs: Any) -> None:
    assert same_tokens(theirs, text)


@settings(max_examples=200)
@given(st.text(st.characters(codec="ascii", exclude_characters="&"), max_size=60))
def test_tokens_of_any_ascii_text_equal_those_of_open_clip(theirs: Any, text: str) -> None:
    assert same_tokens(theirs, text)


def test_saved_tokenizer_keeps_its_length_and_padding(theirs: Any) -> None:
    assert theirs.model_max_length == LENGTH
    assert theirs.pad_token_id == theirs.eos_token_id == OURS.eot_token_id
    assert theirs.decode(theirs("a red fox").input_ids, skip_special_tokens=True) == "a red fox "


@pytest.mark.parametrize(
    "tokenizer",
    [
        SimpleTokenizer(clean="whitespace"),
        SimpleTokenizer(reduction_mask="simple"),
        SimpleTokenizer(additional_special_tokens=["<more>"]),
        HFTokenizer.__new__(HFTokenizer),
    ],
)
def test_other_tokenizers_are_an_error(tokenizer: Any) -> None:
    with pytest.raises(LatteError, match="its tokenizer"):
        clip_tokenizer(tokenizer, LENGTH)
