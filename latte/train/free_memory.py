"""Find how much memory this process can still use, on the machine and in its control groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_V1_UNLIMITED = 2**60
"""Smallest number that means "no limit" in version 1 of control groups."""


def free_memory(
    meminfo: Path = _MEMINFO, own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS
) -> int | None:
    """Return the memory in bytes that this process can still use; None if unknown (not Linux).

    It is the minimum of the free memory of the machine and of all control groups of the process.
    Files that a group caches count as free, because the kernel can reclaim them.
    """
    found = [_free_on_machine(meminfo), *_free_in_groups(own_groups, groups)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _free_on_machine(meminfo: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read_text(meminfo), re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def _free_in_groups(own_groups: Path, groups: Path) -> Iterator[int | None]:
    for line in _read_text(own_groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from (
                _free_in_group(one, "memory.max", "memory.current")
                for one in _ancestors(groups, path)
            )
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from (_free_in_group(one, *names) for one in _ancestors(groups / "memory", path))


def _ancestors(root: Path, path: str) -> Iterator[Path]:
    place = root / path.lstrip("/")
    while place != root and root in place.parents:
        yield place
        place = place.parent
    yield root


def _free_in_group(group: Path, limit: str, used: str) -> int | None:
    highest, now = _read_text(group / limit).strip(), _read_text(group / used).strip()
    if not highest.isdecimal() or not now.isdecimal() or int(highest) >= _V1_UNLIMITED:
        return None
    stat = _read_text(group / "memory.stat")
    files = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
    return int(highest) - int(now) + (int(files[1]) if files else 0)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
