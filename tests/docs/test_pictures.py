"""Pictures of README and docs: small, shown where people start, with a text and a credit."""

from __future__ import annotations

import re

import pytest

from tests.helpers.doc_pages import PAGES, ROOT

PICTURES = ROOT / "docs" / "pictures"
FILM = PICTURES / "answering.webp"
STILLS = (PICTURES / "review.webp", PICTURES / "report.webp")
SHOWN = re.compile(r"!\[([^\]]*)\]\(((?:docs/)?pictures/[^)]+)\)")


def test_pictures_are_small() -> None:
    assert {*PICTURES.iterdir()} == {FILM, *STILLS}
    assert sum(path.stat().st_size for path in (FILM, *STILLS)) < 1_000_000


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/quickstart.md"])
def test_pages_where_people_start_show_the_review_page(page: str) -> None:
    names = {target.rpartition("/")[2] for _, target in SHOWN.findall((ROOT / page).read_text())}
    assert names & {FILM.name, "review.webp"}


def test_each_picture_is_described_for_those_who_do_not_see_it() -> None:
    texts = [text for page in PAGES for text, _ in SHOWN.findall(page.read_text(encoding="utf-8"))]
    assert len(texts) >= 4
    assert all(len(text.split()) >= 5 for text in texts)


def test_readme_credits_the_photos_and_has_at_most_900_words() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Caltech 101" in readme
    assert "CC BY 4.0" in readme
    assert len(readme.split()) <= 900
