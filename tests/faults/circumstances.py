"""Run each command in each bad circumstance: it must succeed, or end with one line and its code."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.commands import (
    COMMANDS,
    ODD,
    PATIENCE,
    RUN,
    FaultCommand,
    Prepared,
    end,
    leftovers,
    start,
)
from tests.faults.disks import own_mounts
from tests.faults.outcome import FaultOutcome, NotPermittedError, skipped
from tests.faults.place import Ended
from tests.faults.site import Site

_RUN_IT = 'exec "$@"'
_IN_8_GB = f"ulimit -v 8000000; {_RUN_IT}"
"""Script that limits the virtual memory of a command that reads endless or huge files."""
_ON_A_DISK = (
    'mount -t tmpfs -o size=256m disk /mnt && cp -a . /mnt && mount --bind /mnt "$PWD" || exit 1; '
    "head -c {spare} /dev/zero >/mnt/spare; cat /dev/zero >/mnt/rest 2>/dev/null; rm /mnt/spare; "
    '(cd "$PWD" && exec "$@"); code=$?; rm /mnt/rest; cp -a /mnt/. .; exit $code'
)
"""Script that runs a command on a disk with `spare` free bytes, and copies the content back."""
_NOBODY = 65534
_CODES = frozenset({0, 2, 3, 129, 130, 143})


def _nothing(folder: Path) -> None:
    """Change nothing."""


@dataclass(frozen=True)
class Circumstance:
    """A fault in the environment of a command."""

    name: str
    script: str = _RUN_IT
    """Bash script that starts the command, `"$@"`."""
    prepare: Callable[[Path], None] = _nothing
    """Changes the folder in which the command starts."""
    settings: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables; None removes one."""
    codes: frozenset[int] = _CODES
    concerns: Callable[[FaultCommand], bool] = bool
    """Returns False for commands that the circumstance does not affect."""
    hang_up: bool = False
    times: int = 1
    """Number of processes that start the command at once."""
    mounts: bool = False
    """True if the script mounts a file system, for which it needs permission."""


def _reads_images(command: FaultCommand) -> bool:
    return command.images


def _reads_run(command: FaultCommand) -> bool:
    return command.run


def _can_succeed(command: FaultCommand) -> bool:
    return command.arguments[0] != "reproduce"  # its datasets are not available


def _name_without_text(folder: Path) -> None:
    (folder / ODD).rename(folder / os.fsdecode(b"images/bad\xff\xfename.png"))
    shutil.copy(folder / "images/00.png", folder / ODD)


def _pipe(folder: Path) -> None:
    (folder / ODD).unlink()
    os.mkfifo(folder / ODD)


def _device(folder: Path) -> None:
    (folder / ODD).unlink()
    (folder / ODD).symlink_to("/dev/zero")


def _sparse(folder: Path) -> None:
    with (folder / ODD).open("wb") as file:
        file.truncate(3 * 1024**3)


def _huge_image(folder: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    (folder / ODD).write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum)


def _huge_header(folder: Path) -> None:
    for path in (folder / RUN).rglob("*.safetensors"):
        path.write_bytes(struct.pack("<Q", 2**50) + path.read_bytes()[8:])


def _other_owner(folder: Path) -> None:
    """Make the image unreadable; give it and the folders of runs and texts to another user."""
    if os.geteuid() != 0:
        raise NotPermittedError("needs root, to give files to another user")
    os.chown(folder / ODD, _NOBODY, _NOBODY)
    (folder / ODD).chmod(0o600)
    for part in (folder / "runs", folder / "cache"):
        for path in (part, *part.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY)


CIRCUMSTANCES = (
    Circumstance("undisturbed", codes=frozenset({0}), concerns=_can_succeed),
    Circumstance("stdin closed", 'exec "$@" <&-'),
    Circumstance("stdout closed", 'exec "$@" >&-'),
    Circumstance("stderr closed", 'exec "$@" 2>&-'),
    Circumstance("all three closed", 'exec "$@" <&- >&- 2>&-'),
    Circumstance("stdout full", 'exec "$@" >/dev/full'),
    Circumstance("stderr full", 'exec "$@" 2>/dev/full'),
    Circumstance("reader gone", '"$@" | true; exit ${PIPESTATUS[0]}', codes=_CODES | {1}),
    Circumstance("SIGHUP", hang_up=True),
    Circumstance(
        "TMPDIR full",
        'mount -t tmpfs -o size=4096 full tmp && head -c 4096 /dev/zero >tmp/rest; "$@"',
        mounts=True,
    ),
    Circumstance("disk full", _ON_A_DISK.format(spare=0), mounts=True),
    Circumstance("64 KB of disk left", _ON_A_DISK.format(spare=65536), mounts=True),
    Circumstance("TMPDIR missing", settings={"TMPDIR": "/nowhere/tmp"}),
    Circumstance(
        "HOME unwritable",
        settings={"HOME": "/proc/nowhere", "LATTE_CACHE": None, "LATTE_CONFIG": None},
    ),
    Circumstance("cwd deleted", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'),
    Circumstance("ulimit -n 64", f"ulimit -n 64; {_RUN_IT}"),
    Circumstance("LANG=C", prepare=_name_without_text, settings={"LANG": "C", "LC_ALL": "C"}),
    Circumstance("name not UTF-8", prepare=_name_without_text, concerns=_reads_images),
    Circumstance("image: FIFO", prepare=_pipe, concerns=_reads_images),
    Circumstance("image: device", _IN_8_GB, prepare=_device, concerns=_reads_images),
    Circumstance("image: 3 GiB, sparse", _IN_8_GB, prepare=_sparse, concerns=_reads_images),
    Circumstance("image: huge header", prepare=_huge_image, concerns=_reads_images),
    Circumstance("tensors: huge header", _IN_8_GB, prepare=_huge_header, concerns=_reads_run),
    Circumstance(
        "another owner", 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"', _other_owner
    ),
    Circumstance("two at once", times=2),
)


@dataclass(frozen=True)
class CommandOutcome:
    """Outcome of one command in one circumstance."""

    command: str
    codes: tuple[int, ...]
    complaint: str
    """The requirement that was violated; empty if none was."""


class Matrix:
    """Cells of all commands, by circumstance."""

    def __init__(self, folder: Path, together: int = 2) -> None:
        """Use `folder` for all cells, and run up to `together` cells at once."""
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # children of `nohup` ignore SIGHUP
        self._prepared = Prepared(folder)
        self._together = together

    def cells(
        self, circumstance: Circumstance, commands: Iterable[FaultCommand] = COMMANDS
    ) -> list[CommandOutcome]:
        """Return the outcomes of `commands`. Raises `NotPermittedError`."""
        if circumstance.mounts:
            own_mounts()
        concerned = [command for command in commands if circumstance.concerns(command)]
        with ThreadPoolExecutor(self._together) as pool:
            return list(pool.map(lambda command: self._cell(circumstance, command), concerned))

    def _cell(self, circumstance: Circumstance, command: FaultCommand) -> CommandOutcome:
        folder = self._prepared.cell()
        circumstance.prepare(folder)
        script = circumstance.script
        if circumstance.mounts:
            inner = script.replace("'", "'\\''")
            script = f"exec {' '.join(own_mounts())} bash -c '{inner}' bash \"$@\""
        processes = [
            start(command, folder, script, circumstance.settings) for _ in range(circumstance.times)
        ]
        wait = 0.5 + len(command.line) % 7 / 2 if circumstance.hang_up else None
        endings = [end(process, wait) for process in processes]
        codes = circumstance.codes | (command.codes if 2 in circumstance.codes else frozenset())
        complaints = [complaint for ended in endings if (complaint := _complaint(ended, codes))]
        left = leftovers(folder)
        complaints += [f"left: {', '.join(left)}"] if left else []
        shutil.rmtree(folder)
        return CommandOutcome(
            command.line, tuple(ended.code for ended in endings), "; ".join(complaints)
        )


def _complaint(ended: Ended, codes: frozenset[int]) -> str:
    """Return the requirement that the ended process violated, or an empty text."""
    errors = [line for line in ended.output.splitlines() if line.startswith("error: ")]
    if ended.code == 124:
        return f"hangs for {PATIENCE:.0f} s"
    if "Traceback" in ended.output or "Exception ignored" in ended.output:
        return f"traceback: {ended.output.strip().splitlines()[-1]}"
    if ended.code not in codes:
        return f"code {ended.code}: {' '.join(ended.output.splitlines()[-2:])}"
    if len(errors) > 1:
        return f"{len(errors)} errors: {errors[0]}"
    if "enough memory" in ended.output:
        return "memory exhausted"
    return ""


def row(circumstance: Circumstance, cells: Iterable[CommandOutcome]) -> FaultOutcome:
    """Return the row of the table: exit codes, and violated requirements."""
    cells = list(cells)
    counts = Counter(code for cell in cells for code in cell.codes)
    saw = ", ".join(f"{count} x exit {code}" for code, count in sorted(counts.items()))
    left = [f"{cell.command}: {cell.complaint}" for cell in cells if "left: " in cell.complaint]
    bad = [f"{cell.command}: {cell.complaint}" for cell in cells if cell.complaint]
    return FaultOutcome(
        circumstance.name, len(cells), saw, "; ".join(left) or "nothing", "; ".join(bad) or "yes"
    )


def every_command(site: Site, times: int) -> list[FaultOutcome]:
    """Run every command in every circumstance; `times` is not used."""
    matrix = Matrix(site.folder / "circumstances")
    rows = []
    for circumstance in CIRCUMSTANCES:
        try:
            rows.append(row(circumstance, matrix.cells(circumstance)))
        except NotPermittedError as error:
            rows.append(skipped(circumstance.name, str(error)))
    return rows
