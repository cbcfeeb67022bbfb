"""Draw docstrings and sentences of the documentation at random, for a reading.

`python -m tests.helpers.sample_prose --seed 7 --count 40` prints `count` docstrings of latte/ and
plugins/, and `count` sentences of README.md and docs/*.md. Equal seeds give equal samples.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("latte", "plugins")
_BLOCK = re.compile(r"^(```|:::)")
_NO_PROSE = re.compile(r"^(\||#|!\[|\s{4}|<)")
"""Tables, headings, pictures, code and HTML."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z*`\[])")
_ITEM = re.compile(r"^\s*([-*]|\d+\.)\s+")


@dataclass(frozen=True)
class Prose:
    """A docstring or a sentence, and where it starts."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        where = f"{self.path.relative_to(ROOT)}:{self.line}"
        return f"{where}\n{textwrap.indent(self.text, '    ')}"


def docstrings() -> Iterator[Prose]:
    """Yield every docstring of the code, tests excluded, in order."""
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" not in path.relative_to(ROOT).parts:
                yield from _docstrings_of(path)


def sentences() -> Iterator[Prose]:
    """Yield every sentence of the pages, in order; tables, headings and code are left out."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line, paragraph in _paragraphs(path.read_text(encoding="utf-8")):
            for text in _SENTENCE_END.split(paragraph):
                yield Prose(path, line, text)


def drawn(found: Sequence[Prose], count: int, seed: int) -> list[Prose]:
    """Draw `count` of `found` uniformly and without repetition; all if there are fewer."""
    return random.Random(seed).sample(found, min(count, len(found)))


def _docstrings_of(path: Path) -> Iterator[Prose]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield Prose(path, node.body[0].lineno, text)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the joined text of each paragraph or item of a list."""
    start, lines, in_block = 0, list[str](), False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fence = _BLOCK.match(line)
        ends = fence or in_block or not line.strip() or _NO_PROSE.match(line) or _ITEM.match(line)
        if ends and lines:
            yield start, " ".join(lines)
            lines = []
        in_block ^= bool(fence)
        item = _ITEM.match(line)
        if not in_block and not fence and (item or not ends):
            start = start if lines else number
            lines.append(_ITEM.sub("", line).strip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the two samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args(arguments)
    for title, found in (("docstrings", [*docstrings()]), ("sentences", [*sentences()])):
        print(f"{title}: {options.count} of {len(found)}, seed {options.seed}\n")  # noqa: T201
        for one in drawn(found, options.count, options.seed):
            print(f"{one}\n")  # noqa: T201


if __name__ == "__main__":
    main()
