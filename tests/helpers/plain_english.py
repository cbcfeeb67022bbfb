"""Find what a reader stumbles over; `python -m tests.helpers.plain_english PATH...` lists it.

Checks the mechanical part of plain English: how docstrings begin, and words that read like riddles.
The recorded public interface and files that a program wrote are left out.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BEGINNINGS = re.compile(r"(What|How|Whether|Where|Of|None)\b")
"""How a docstring must not begin: it names nothing that the function returns or does."""
RIDDLES = re.compile(
    r"\b(told|tells? of|lies|mend(s|ed|ing)?|anew|somebody|of theirs|own trouble|what is what"
    r"|one a (class|step|epoch|image|line)|near to whom|strangers?)\b",
    re.IGNORECASE,
)
TEXTS = (".md", ".yaml", ".jinja", ".html")


@dataclass(frozen=True)
class Problem:
    """A line that needs other words."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def problems_in(path: Path) -> Iterator[Problem]:
    """Yield the problems of one Python file, page, recipe or template."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _docstrings(path, text)
        yield from _words(path, _prose_of_code(text))
    elif path.suffix in TEXTS:
        yield from _words(path, enumerate(text.splitlines(), 1))


def files_below(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that people read below `paths`, in order."""
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (one for one in found if one.suffix in (".py", *TEXTS))


def _docstrings(path: Path, text: str) -> Iterator[Problem]:
    """Check the docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            begins = BEGINNINGS.match(str(node.value.value).strip())
            if begins:
                yield Problem(path, node.lineno, f'a docstring begins with "{begins[1]}"')


def _prose_of_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and strings, with the line on which each of their lines stands."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, _F_STRING_MIDDLE):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


_F_STRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", -1)


def _words(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Problem]:
    for number, line in lines:
        for found in RIDDLES.finditer(line):
            yield Problem(path, number, f'"{found[0]}": say it in plain words')


def main(arguments: Sequence[str]) -> int:
    """Print the problems below the paths; the exit code is 1 if there is one."""
    found = [one for path in files_below([Path(a) for a in arguments]) for one in problems_in(path)]
    for one in found:
        sys.stdout.write(f"{one}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
