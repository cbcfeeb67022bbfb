from __future__ import annotations

from pathlib import Path

import pytest

from latte.components.phrases import (
    LONGEST_PHRASE,
    SECTIONS,
    built_in_bank,
    parse_bank,
    read_bank,
)
from latte.interfaces import LatteError


def test_sections_comments_and_blank_lines() -> None:
    bank = parse_bank("# mine\n[objects]\n cat \n\nbig  dog\ncat\n[colours]\n# none\nred\n", "b")
    assert bank.sections == {
        "objects": ("cat", "big dog"),
        "materials": (),
        "colours": ("red",),
        "textures": (),
        "scenes": (),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\n", "mine.txt:1: 'cat' stands before the first section"),
        ("[objects]\ncat\n[colors]\n", r"mine.txt:3: unknown section \[colors\]"),
        ("[objects]\ncat\n[colours\n", r"mine.txt:3: unknown section \[colours"),
        ("\n[object]\n", r'Did you mean "\[objects\]"'),
        ("[xyz]\n", r"sections are \[objects\], \[materials\]"),
        ("[colours]\nred\n", r"mine.txt: there is no phrase in \[objects\]"),
        ("[objects]\n" + "very " * LONGEST_PHRASE + "long\n", "mine.txt:2: a phrase of more than"),
    ],
)
def test_mistakes_are_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(LatteError) as caught:
        parse_bank(text, "mine.txt")
    assert caught.match(message)


def test_a_bank_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bank.txt"
    path.write_bytes("\ufeff[objects]\r\nKäfer\r\n".encode())
    assert read_bank(path).sections["objects"] == ("Käfer",)


@pytest.mark.parametrize("content", [None, b"[objects]\n\xff\n"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bank.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LatteError) as caught:
        read_bank(path)
    assert str(caught.value.where).startswith(str(path))


def test_the_digest_follows_the_content() -> None:
    text = "[objects]\ncat\ndog\n[colours]\nred\n"
    digest = parse_bank(text, "a").digest
    assert parse_bank("# other comment\n" + text, "b").digest == digest
    for changed_text in (
        text.replace("red", "blue"),
        text.replace("cat\ndog", "dog\ncat"),
        text.replace("[colours]", "[textures]"),
        text + "blue\n",
    ):
        assert parse_bank(changed_text, "a").digest != digest


def test_the_built_in_bank_is_broad_and_without_repetition() -> None:
    bank = built_in_bank()
    sizes = {name: len(bank.sections[name]) for name in SECTIONS}
    assert sizes["objects"] >= 1000
    assert sizes["scenes"] >= 150
    assert sum(sizes.values()) >= 1400
    lines = (Path(__file__).parents[3] / "latte/components/phrase_bank.txt").read_text("utf-8")
    written = [line for line in lines.splitlines() if line and line[0] not in "#["]
    assert len(written) == sum(sizes.values())
