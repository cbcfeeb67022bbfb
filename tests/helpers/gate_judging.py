"""Gates on plain strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from latte.interfaces import Gate, GatedText, GateSubject
from tests.helpers.describe_doubles import context

ANY_TEXT = st.text(min_size=1, max_size=200)
"""Including lone surrogates, marks without letters, and what no font has."""


def reasons(
    gate: type[Gate[Any]],
    options: Any,
    texts: Sequence[str],
    class_names: Sequence[str] = ("cat", "dog"),
    own: str | None = None,
) -> list[str | None]:
    """The verdicts on `texts` about images of the class `own`, or of the first."""
    subject = GateSubject("image", "image", tuple(class_names))
    written = [GatedText(text, own or class_names[0], "What is shown?") for text in texts]
    return [*gate(options, context()).judge(written, subject)]


def reason(gate: type[Gate[Any]], options: Any, text: str, **about: Any) -> str | None:
    """The verdict on a single text."""
    (verdict,) = reasons(gate, options, [text], **about)
    return verdict
