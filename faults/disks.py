"""A full disk, files that may not grow, folders for reading only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from faults.outcome import NotPermittedError, Outcome, outcome
from faults.place import Ended, Place
from faults.site import Site

_FULL = "no space left on device"
_LIMIT = "file too large"
_READ_ONLY = "read-only file system"


def full(site: Site, times: int) -> list[Outcome]:
    """A small disk of their own for run folder and cache, of sizes that end in various stages."""
    own_mounts()
    whole = _size(site.whole().folder)
    sizes = [int(whole * share) for share in (0.05, 0.4, 0.6, 0.7, 0.8, 0.9)]
    places, last = [], Ended(0, "")
    for size in sizes:
        place = site.place()
        ended = _on_small_disk(place, size)
        if ended.code:
            assert ended.code == 2, ended.output
            assert _FULL in ended.output.lower(), ended.output
            places.append(place)
            last = ended
        place.finish()
    assert places, "no disk was small enough"
    return [outcome("disk full", places, site.whole(), len(places), last)]


def limited(site: Site, times: int) -> list[Outcome]:
    """`ulimit -f`: another way in which a write fails half-way, and one that needs no rights."""
    places, last = [], Ended(0, "")
    for blocks in (1, 4, 40, 400):
        place = site.place()
        ended = place.run(wrapped=["bash", "-c", f'ulimit -f {blocks}; exec "$0" "$@"'])
        if ended.code:
            assert ended.code == 2, ended.output
            assert _LIMIT in ended.output.lower(), ended.output
            places.append(place)
            last = ended
        place.finish()
    assert places, "no limit was low enough"
    return [outcome("ulimit -f", places, site.whole(), len(places), last)]


def read_only(site: Site, times: int) -> list[Outcome]:
    """Mounted for reading only, which binds root, too: the cache, then the run folder."""
    own_mounts()
    empty, filled, stopped = site.place(), site.place(), site.place()

    empty.cache.mkdir()
    refused = empty.run(wrapped=_for_reading(empty.cache))
    assert refused.code == 2, refused.output
    assert _READ_ONLY in refused.output.lower(), refused.output
    empty.finish()

    filled.finish()
    shutil.rmtree(filled.folder / "runs")
    served = filled.run(wrapped=_for_reading(filled.cache))
    assert served.code == 0, served.output

    stopped.kill_when(lambda: stopped.steps() >= 4)
    runs = stopped.run(wrapped=_for_reading(stopped.folder / "runs"))
    assert runs.code == 2, runs.output
    assert _READ_ONLY in runs.output.lower(), runs.output
    stopped.finish()

    whole = site.whole()
    return [
        outcome("read-only cache, empty", [empty], whole, 1, refused),
        outcome("read-only cache, filled", [filled], whole, 1, "nothing (exit 0)"),
        outcome("read-only run folder", [stopped], whole, 1, runs),
    ]


@cache
def own_mounts() -> tuple[str, ...]:
    """The command that gives a process mounts of its own. Raises `NotPermittedError`."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    raise NotPermittedError("needs unshare and the right to mount")


def _on_small_disk(place: Place, size: int) -> Ended:
    """Run where run folder and cache have `size` bytes; what they hold then is kept."""
    disk, kept = place.folder / "disk", place.folder / "kept"
    disk.mkdir()
    kept.mkdir()
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {disk} && cd {disk} "
        f"&& export LATTE_CACHE={disk}/cache"
        f'; "$0" "$@"; code=$?; cp -a {disk}/. {kept}; exit $code'
    )
    ended = place.run(wrapped=[*own_mounts(), "bash", "-c", script])
    for one in kept.iterdir():
        one.rename(place.folder / one.name)
    return ended


def _for_reading(folder: Path) -> Sequence[str]:
    script = (
        f'mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec "$0" "$@"'
    )
    return [*own_mounts(), "bash", "-c", script]


def _size(folder: Path) -> int:
    """Bytes of run folder and cache, in whole pages, as a small disk counts them."""
    files = [one for part in ("runs", "cache") for one in (folder / part).rglob("*")]
    return sum(-(-one.stat().st_size // 4096) * 4096 for one in files if one.is_file())
