"""Measure and check latte on one GPU, in about half an hour; send the JSON file back.

Each part is a separate process of at most three minutes, so a failure does not stop other parts.
Each finished part writes its result and a log to the folder `--out`; if the command is repeated,
finished parts are skipped. `--device cpu` uses tiny sizes to show that the parts run; its figures
mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_parts import PARTS, PartPlace
from benchmarks.measuring import say
from latte import __version__
from latte.interfaces import LatteError
from latte.io.device import find_device
from latte.io.files import write_json
from latte.io.memory import keep_freed_memory

SECONDS = 180
"""Time limit per part."""
_SHOWN = 300
"""The last so many characters of a failed part's output are shown."""


def main(arguments: Sequence[str]) -> None:
    """Run all parts that have no result yet; print a table, and write `gpu.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="results (%(default)s)")
    parser.add_argument("--part", choices=PARTS, help="run this part alone, in this process")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise LatteError(
            "torch finds no GPU on this machine",
            where="--device",
            hint="`--device cpu` tries the command with tiny sizes",
        )
    place = PartPlace(find_device(options.device), options.out.absolute())
    os.environ["LATTE_CACHE"] = str(place.folder / "cache")
    if options.part:
        keep_freed_memory()
        began = time.monotonic()
        figures = PARTS[options.part](place)
        seconds = time.monotonic() - began
        write_json(_file(place, options.part), {"figures": figures, "seconds": seconds})
        return
    place.folder.mkdir(parents=True, exist_ok=True)
    results = {name: _result(name, place) for name in PARTS}
    write_json(place.folder / "gpu.json", {"machine": machine(place.device), "parts": results})
    say(*(_row(name, result) for name, result in results.items()))
    say(f"send back {place.folder / 'gpu.json'}")


def machine(device: str) -> dict[str, Any]:
    """Return versions and GPU, on which the figures depend."""
    facts: dict[str, Any] = {
        "device": device,
        "latte": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    if not device.startswith("cuda"):
        return facts
    card = torch.cuda.get_device_properties(device)
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        driver = "unknown"
    return facts | {
        "card": card.name,
        "memory GiB": card.total_memory / 2**30,
        "capability": f"{card.major}.{card.minor}",
        "cuda": torch.version.cuda,
        "driver": driver,
    }


def _result(name: str, place: PartPlace) -> dict[str, Any]:
    """Return the stored result of a part; without one, run the part first."""
    path = _file(place, name)
    if not path.exists():
        say(f"{name} ...")
        _run(name, place, path.with_suffix(".log"))
    if path.exists():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    lines = path.with_suffix(".log").read_text(encoding="utf-8", errors="replace").splitlines()
    return {"error": " / ".join(line for line in lines if line.strip())[-_SHOWN:]}


def _run(name: str, place: PartPlace, log: Path) -> None:
    """Run a part in a separate process, for at most `SECONDS`; its output is written to `log`."""
    command = [sys.executable, "-m", "benchmarks", "gpu", "--part", name]
    arguments = ["--device", place.device, "--out", str(place.folder)]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*command, *arguments], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            file.write(f"took more than {SECONDS} s\n")


def _row(name: str, result: Mapping[str, Any]) -> str:
    if "error" in result:
        return f"{name:<30}  FAILED  {result['error']}"
    shown = ", ".join(f"{key} {_shown(value)}" for key, value in result["figures"].items())
    return f"{name:<30}  {result['seconds']:>4.0f} s  {shown}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _file(place: PartPlace, name: str) -> Path:
    return place.folder / f"{name.replace(' ', '-')}.json"
