"""Phrase banks: text files with a phrase a line, by section, which a CLIP ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from latte.files import digest
from latte.interfaces import LatteError

SECTIONS = ("objects", "materials", "colours", "textures", "scenes")
LONGEST_PHRASE = 7
"""Words. With the article, every phrase fits into the shortest sentence that options allow."""


@dataclass(frozen=True)
class PhraseBank:
    """Phrases by section, in the file's order; only `objects` is sure to have some."""

    sections: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """Changes when a phrase, a section, or their order changes; comments do not matter."""
        return digest(*(part for name in SECTIONS for part in (f"[{name}]", *self.sections[name])))


def built_in_bank() -> PhraseBank:
    """The bank that comes with latte: everyday things, materials, colours, textures, scenes."""
    text = files("latte.describe").joinpath("phrase_bank.txt").read_text(encoding="utf-8")
    return parse_bank(text, "phrase_bank.txt")


def read_bank(path: Path) -> PhraseBank:
    """A user's own bank. Raises `LatteError` with file and line for what cannot be used."""
    try:
        return parse_bank(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise LatteError(
            f"the phrase bank cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise LatteError("the phrase bank is not UTF-8 text", where=str(path)) from error


def parse_bank(text: str, source: str) -> PhraseBank:
    """Parse a bank: `[section]` lines, a phrase a line, `#` comments; repeated phrases count once.

    `source` is named in errors.
    """
    sections: dict[str, dict[str, None]] = {name: {} for name in SECTIONS}
    current: str | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = " ".join(raw.split())
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            current = _section(line, f"{source}:{number}")
        elif current is None:
            raise LatteError(
                f"{line!r} stands before the first section",
                where=f"{source}:{number}",
                hint="begin with the line [objects]",
            )
        else:
            sections[current][_phrase(line, f"{source}:{number}")] = None
    if not sections["objects"]:
        raise LatteError("there is no phrase in [objects]", where=source)
    return PhraseBank({name: tuple(phrases) for name, phrases in sections.items()})


def _section(line: str, where: str) -> str:
    name = line.removeprefix("[").removesuffix("]").strip()
    if line == f"[{name}]" and name in SECTIONS:
        return name
    near = get_close_matches(name, SECTIONS, n=1)
    known = ", ".join(f"[{section}]" for section in SECTIONS)
    raise LatteError(
        f"unknown section {line}",
        where=where,
        hint=f"did you mean [{near[0]}]?" if near else f"sections are {known}",
    )


def _phrase(line: str, where: str) -> str:
    if len(line.split()) > LONGEST_PHRASE:
        raise LatteError(
            f"a phrase of more than {LONGEST_PHRASE} words",
            where=where,
            hint="a phrase is a few words; the describer makes the sentence",
        )
    return line
