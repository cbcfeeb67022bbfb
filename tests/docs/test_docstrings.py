"""Docstrings start with a verb or a noun that names what a function does or returns."""

from __future__ import annotations

import ast
import re

import pytest

from tests.helpers.doc_pages import ROOT

BEGINNINGS = re.compile(r"(What|How|Whether|Where|Of|None)\b")
"""Words that name nothing that a function does or returns."""


@pytest.mark.parametrize("folder", ["latte", "plugins", "tests", "benchmarks", "examples"])
def test_docstrings_start_with_a_verb_or_a_noun(folder: str) -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if BEGINNINGS.match(str(node.value.value).strip())
    ]
    assert not wrong, "\n".join(wrong)
