"""How much memory this process may still take, as the system and its control groups tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_V1_UNLIMITED = 2**60
"""Version 1 writes the largest whole page number where there is no limit."""


def free_memory(
    meminfo: Path = _MEMINFO, own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS
) -> int | None:
    """Bytes, the smallest of what the machine and each control group above leave free.

    What a group keeps of files counts as free, as the kernel gives it up first. None where the
    system tells nothing, as outside of Linux.
    """
    found = [_of_machine(meminfo), *_of_groups(own_groups, groups)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _of_machine(meminfo: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(meminfo), re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def _of_groups(own_groups: Path, groups: Path) -> Iterator[int | None]:
    for line in _read(own_groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from (_left(one, "memory.max", "memory.current") for one in _up(groups, path))
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from (_left(one, *names) for one in _up(groups / "memory", path))


def _up(root: Path, path: str) -> Iterator[Path]:
    """The group itself and all above it; in a container its own group can be the root."""
    place = root / path.lstrip("/")
    while place != root and root in place.parents:
        yield place
        place = place.parent
    yield root


def _left(group: Path, limit: str, used: str) -> int | None:
    highest, now = _read(group / limit).strip(), _read(group / used).strip()
    if not highest.isdecimal() or not now.isdecimal() or int(highest) >= _V1_UNLIMITED:
        return None
    stat = _read(group / "memory.stat")
    files = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
    return int(highest) - int(now) + (int(files[1]) if files else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
