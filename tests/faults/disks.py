"""Full disk, limited file size, and read-only folders."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from tests.faults.outcome import FaultOutcome, NotPermittedError, outcome
from tests.faults.place import Ended, FaultPlace
from tests.faults.site import Site

_FULL = "no space left on device"
_LIMIT = "file too large"
_READ_ONLY = "read-only file system"


def full(site: Site, times: int) -> list[FaultOutcome]:
    """Run with run folder and cache on small disks, whose sizes end runs in various stages."""
    own_mounts()
    bytes_of_run = _size(site.whole().folder)
    sizes = [int(bytes_of_run * share) for share in (0.05, 0.4, 0.6, 0.7, 0.8, 0.9)]
    runs = [partial(_on_small_disk, size=size) for size in sizes]
    return [_failures(site, "disk full", _FULL, runs)]


def limited(site: Site, times: int) -> list[FaultOutcome]:
    """Limit the file size by `ulimit -f`: a write fails half-way. No permission is needed."""
    scripts = [f'ulimit -f {blocks}; exec "$0" "$@"' for blocks in (1, 4, 40, 400)]
    runs = [partial(FaultPlace.run, wrapped=["bash", "-c", script]) for script in scripts]
    return [_failures(site, "ulimit -f", _LIMIT, runs)]


def _failures(
    site: Site, fault: str, message: str, runs: Sequence[Callable[[FaultPlace], Ended]]
) -> FaultOutcome:
    """Run each in a new place, then without the fault; those that failed must say `message`."""
    places, last_failure = [], Ended(0, "")
    for run in runs:
        place = site.place()
        ended = run(place)
        if ended.code:
            assert ended.code == 2, ended.output
            assert message in ended.output.lower(), ended.output
            places.append(place)
            last_failure = ended
        place.finish()
    assert places, "no run failed"
    return outcome(fault, places, site.whole(), len(places), last_failure)


def read_only(site: Site, times: int) -> list[FaultOutcome]:
    """Mount the cache, then the run folder, read-only; this restricts root too."""
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

    undisturbed = site.whole()
    return [
        outcome("read-only cache, empty", [empty], undisturbed, 1, refused),
        outcome("read-only cache, filled", [filled], undisturbed, 1, "nothing (exit 0)"),
        outcome("read-only run folder", [stopped], undisturbed, 1, runs),
    ]


@cache
def own_mounts() -> tuple[str, ...]:
    """Return the command for a process with private mounts; raises `NotPermittedError`."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    raise NotPermittedError("needs unshare and the right to mount")


def _on_small_disk(place: FaultPlace, size: int) -> Ended:
    """Run on a disk of `size` bytes for run folder and cache; copy their content back."""
    disk, copy = place.folder / "disk", place.folder / "kept"
    disk.mkdir()
    copy.mkdir()
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {disk} && cd {disk} "
        f"&& export LATTE_CACHE={disk}/cache"
        f'; "$0" "$@"; code=$?; cp -a {disk}/. {copy}; exit $code'
    )
    ended = place.run(wrapped=[*own_mounts(), "bash", "-c", script])
    for entry in copy.iterdir():
        entry.rename(place.folder / entry.name)
    return ended


def _for_reading(folder: Path) -> Sequence[str]:
    script = (
        f'mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec "$0" "$@"'
    )
    return [*own_mounts(), "bash", "-c", script]


def _size(folder: Path) -> int:
    """Return the size of run folder and cache in bytes, in whole pages, as a disk counts it."""
    files = [path for part in ("runs", "cache") for path in (folder / part).rglob("*")]
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files if path.is_file())
