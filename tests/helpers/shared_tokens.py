"""Tokens of a text and tables of open_clip's tokenizer, computed once for all models of a session.

Each run loads its model, with a new tokenizer, and the describer `phrases` tokenizes 1,500 phrases.
"""

from __future__ import annotations

from typing import Any

import pytest
from open_clip.tokenizer import SimpleTokenizer


def share_tokens(patch: pytest.MonkeyPatch) -> None:
    """Let equal tokenizers share their tables, and the tokens of the texts that one has read."""
    build, encode = SimpleTokenizer.__init__, SimpleTokenizer.encode
    tables: dict[str, dict[str, Any]] = {}
    tokens: dict[tuple[Any, ...], list[int]] = {}

    def build_once(self: SimpleTokenizer, *arguments: Any, **options: Any) -> None:
        key = repr((arguments, sorted(options.items())))
        if key not in tables:
            build(self, *arguments, **options)
            tables[key] = dict(vars(self))
        vars(self).update(tables[key])

    def encode_once(self: SimpleTokenizer, text: str) -> list[int]:
        key = (self.clean_fn, self.pat.pattern, text)
        if key not in tokens:
            tokens[key] = encode(self, text)
        return [*tokens[key]]

    patch.setattr(SimpleTokenizer, "__init__", build_once)
    patch.setattr(SimpleTokenizer, "encode", encode_once)
