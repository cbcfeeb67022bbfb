"""Search for shards by folder, pattern or numbered range below a root folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from latte.api import LatteError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def find_shards(root: Path, patterns: str | Sequence[str], where: str) -> list[Path]:
    """Return the sorted paths of the shards below `root`; each pattern must match a shard."""
    pattern_list = [patterns] if isinstance(patterns, str) else patterns
    return sorted({shard for pattern in pattern_list for shard in _matching(root, pattern, where)})


def _matching(root: Path, pattern: str, where: str) -> list[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise LatteError(f"{pattern!r} leads out of root", where=where, hint=f"root is {root}.")
    if (root / pattern).is_dir():
        pattern = f"{pattern}/*.tar"
    shards = [shard for name in _numbered(pattern) for shard in _existing(root, name, where)]
    if not shards:
        raise _refusal(f"no shard matches {pattern!r}", root, where)
    return shards


def _existing(root: Path, name: str, where: str) -> list[Path]:
    if any(sign in name for sign in "*?["):
        return [path for path in root.glob(name) if path.is_file()]
    if not (root / name).is_file():
        raise _refusal(f"no such shard: {root / name}", root, where)
    return [root / name]


def _refusal(what: str, root: Path, where: str) -> LatteError:
    tars = sorted(tar.relative_to(root).as_posix() for tar in root.rglob("*.tar"))
    tar_list = f"{len(tars)} tars, such as {tars[0]}" if tars else "no *.tar"
    return LatteError(what, where=where, hint=f"{root} holds {tar_list}.")


def _numbered(pattern: str) -> list[str]:
    """Expand a range such as `a-{00..02}.tar`; numbers are padded to the width of the first."""
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    numbers = range(int(match[1]), int(match[2]) + 1)
    head, tail = pattern[: match.start()], pattern[match.end() :]
    width = len(match[1])
    return [name for number in numbers for name in _numbered(f"{head}{number:0{width}}{tail}")]
