"""No page, recipe, template or Python file has the words and beginnings that read like riddles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.doc_pages import ROOT
from tests.helpers.plain_english import files_below, problems_in

pytestmark = pytest.mark.thorough

PLACES = (
    "latte",
    "plugins",
    "docs",
    "examples",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "recipes",
    "tests",
)
GENERATED = ("docs/reference", "docs/_build")
WORD_LISTS = ("tests/helpers/plain_english.py", "tests/docs/test_plain_english.py")
"""Files that contain the words in order to find them."""


def _files(place: str) -> list[Path]:
    found = files_below([ROOT / place])
    left_out = [ROOT / one for one in (*GENERATED, *WORD_LISTS)]
    return [one for one in found if not any(one.is_relative_to(out) for out in left_out)]


@pytest.mark.parametrize("place", PLACES)
def test_texts_are_plain_english(place: str) -> None:
    files = _files(place)
    assert files
    found = [str(problem) for path in files for problem in problems_in(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "A damaged file is told with its name.\n"),
        ("code.py", 'def f():\n    """What the caller wants."""\n'),
        ("code.py", "x = 1  # mended by the next run\n"),
    ],
)
def test_riddles_are_found(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert [*problems_in(path)]
