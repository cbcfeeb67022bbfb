"""Pages of documentation, with their code blocks and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
    ]
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_LATTE = re.compile(r"(?:^|\s)(?:\S*/)?latte\s")


@dataclass(frozen=True)
class ConsoleLine:
    """A line of a console block that calls latte."""

    page: str
    line: str

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of `latte`, as a shell splits them."""
        start = _LATTE.search(self.line)
        assert start is not None
        words = shlex.split(self.line[start.end() :], comments=True)
        stops = [place for place, word in enumerate(words) if word in ("|", ">", "&&", ";", "&")]
        return words[: stops[0]] if stops else words


def blocks(page: Path, language: str) -> Iterator[str]:
    """Yield the code blocks of a page in one language."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block[1] == language:
            yield block[2]


def plugin_files() -> dict[str, str]:
    """Return the files that the page on plugins loads with `--plugin`, by name."""
    texts = blocks(ROOT / "docs/writing-plugins.md", "python")
    return {text.split()[1]: text for text in texts if text.startswith("# my_")}


def commands() -> Iterator[ConsoleLine]:
    """Yield every line of every console block that calls latte."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if _LATTE.search(line) and not line.startswith(("#", "git ")):
                    yield ConsoleLine(page.relative_to(ROOT).as_posix(), " ".join(line.split()))
