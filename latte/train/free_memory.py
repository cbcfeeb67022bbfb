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
    known = [value for value in _free_in_groups(own_groups, groups) if value is not None]
    if found := re.search(r"^MemAvailable:\s+(\d+) kB$", _read_text(meminfo), re.MULTILINE):
        known.append(1024 * int(found[1]))
    return max(0, min(known)) if known else None


def _free_in_groups(own_groups: Path, groups: Path) -> Iterator[int | None]:
    for line in _read_text(own_groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            root, names = groups, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = groups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        place = root / path.lstrip("/")
        while place != root and root in place.parents:
            yield _free_in_group(place, *names)
            place = place.parent
        yield _free_in_group(root, *names)


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
