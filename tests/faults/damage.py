"""Damaged checkpoints and cache files: truncated, empty, or with one flipped bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tests.faults.outcome import FaultOutcome, outcome
from tests.faults.place import asked_in_vain
from tests.faults.site import Site

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    """Truncate the file to half of its size."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def emptied(path: Path) -> None:
    """Empty the file."""
    path.write_bytes(b"")


def turned(path: Path) -> None:
    """Flip one bit in the last tenth of the file."""
    data = bytearray(path.read_bytes())
    data[-1 - len(data) // 20] ^= 4
    path.write_bytes(bytes(data))


SERVED = "nothing (exit 0)"
DAMAGES: Mapping[str, Damage] = {"cut": cut, "emptied": emptied, "one bit turned": turned}


def checkpoints(site: Site, times: int) -> list[FaultOutcome]:
    """Damage the newest checkpoint, then both checkpoints."""
    rows = []
    for name, damage in DAMAGES.items():
        for count, which in ((1, "newest"), (2, "both")):
            place = site.place()
            place.kill_when(partial(place.has_trained, 7))
            checkpoint_files = sorted(place.run_folder.glob("checkpoints/step-*/state.safetensors"))
            for path in checkpoint_files[-count:]:
                damage(path)
            ended = place.run()
            assert ended.code == 0, ended.output
            warnings = [line for line in ended.output.splitlines() if line.startswith("warning")]
            assert len(warnings) == count, ended.output
            what = warnings[0].partition("checkpoints/")[2].partition(":")[0]
            saw = f"warning: {what} (exit 0)"
            rows.append(outcome(f"{which} checkpoint: {name}", [place], site.whole(), 1, saw))
    return rows


def caches(site: Site, times: int) -> list[FaultOutcome]:
    """Damage each cache file; latte must recompute it, and ask again only for lost texts."""
    rows = []
    for name, damage in DAMAGES.items():
        place = site.place()
        place.finish()
        shutil.rmtree(place.folder / "runs")
        files = sorted(path for path in place.cache.rglob("*") if path.is_file())
        texts = _lines(files)
        for path in files:
            damage(path)
        gone = len(texts - _lines(files))
        ended = place.run()
        assert ended.code == 0, ended.output
        asked_twice = asked_in_vain(place, site.whole())
        assert asked_twice <= gone, f"{asked_twice} texts were asked again, {gone} were gone"
        place.interruptions += gone
        rows.append(outcome(f"cache: {name}", [place], site.whole(), len(files), SERVED))
    return rows


def _lines(files: Iterable[Path]) -> set[bytes]:
    """Return the complete lines of the parts of a description store."""
    store_files = [path for path in files if path.suffix == ".jsonl"]
    return {line for path in store_files for line in path.read_bytes().splitlines(keepends=True)}
