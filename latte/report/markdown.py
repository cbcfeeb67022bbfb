"""Escape untrusted text for Markdown and YAML, so that no part of it acts as markup."""

from __future__ import annotations

import json
import re

from latte.io.redaction import one_line

_MARKUP = re.compile(r"[\\`*_{}\[\]#!|~$^@&<>]|:(?=\S)|(?<=www)\.", re.IGNORECASE)
_LEADING_MARKUP = re.compile(r"([-+=]|\d+[.)](?!\d))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_UNSAFE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def escaped(text: str) -> str:
    """Return `text` on one line, escaped for all parts of Markdown, such as tables and lists."""
    safe = _MARKUP.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(text))
    leading = _LEADING_MARKUP.match(safe)
    if leading is None:
        return safe
    marker = leading.end() - 1
    return f"{safe[:marker]}\\{safe[marker:]}"


def quoted(text: str) -> str:
    """Return `text` in double quotes, so that every YAML parser reads it as a string."""
    return _UNSAFE_IN_YAML.sub(
        lambda match: f"\\u{ord(match[0]):04x}", json.dumps(one_line(text), ensure_ascii=False)
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table of already escaped cells; all columns but the first align right."""
    marks = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))
