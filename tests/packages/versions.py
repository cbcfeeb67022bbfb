"""`python -m tests.packages.versions`: all but slow tests, with other Pythons and dependencies.

Needs uv (`pip install uv`), which finds or fetches the Pythons, and a package index. The exit code
is 1 if anything fails; the output of pytest is stored beside each environment.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.wheels import CORE, ROOT, SOURCES

SHOWN = ("torch", "transformers", "numpy", "pydantic")


@dataclass(frozen=True)
class Combination:
    """A version of Python, and the age of the dependencies."""

    python: str
    resolution: str
    """Resolution of uv: `lowest-direct` takes our lower bounds, `highest` the newest versions."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.python}-{self.resolution}"


MATRIX = (
    Combination("3.11", "lowest-direct"),
    Combination("3.11", "highest"),
    Combination("3.12", "highest"),
    Combination("3.13", "lowest-direct"),
    Combination("3.13", "highest"),
)


def main(arguments: list[str]) -> int:
    """Run the combinations; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.packages.versions", description=__doc__)
    names = [combination.name for combination in MATRIX]
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    parser.add_argument("--folder", type=Path, help="of the environments (default: temporary)")
    options = parser.parse_args(arguments)
    chosen_combinations = [
        combination for combination in MATRIX if combination.name in (options.only or names)
    ]
    with tempfile.TemporaryDirectory(prefix="latte-versions-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        return max(
            _try(combination, folder / combination.name) for combination in chosen_combinations
        )


def _try(combination: Combination, folder: Path) -> int:
    """Install everything and run the fast tests; 0 if they pass."""
    python = folder / "bin" / "python"
    _run("uv", "venv", "--quiet", "--clear", "--python", combination.python, folder)
    plugins = [path for name, path in SOURCES.items() if name != CORE]
    install = ("uv", "pip", "install", "--quiet", "--python", python)
    how = ("--resolution", combination.resolution)
    _run(*install, *how, "--editable", f"{ROOT}[dev]", *plugins, "pip>=25")
    listed = _run("uv", "pip", "list", "--python", python, "--format", "freeze")
    tests: list[str | Path] = [
        python,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-n",
        "auto",
        "-p",
        "no:cacheprovider",
    ]
    ended = subprocess.run(tests, cwd=ROOT, capture_output=True, text=True, check=False)
    (folder / "pytest.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
    last_line = (ended.stdout.strip().splitlines() or ["nothing was printed"])[-1]
    _say(f"{combination.name:<18} {_shown(listed)}")
    _say(f"{'':<18} {last_line.strip('= ')}")
    return min(1, ended.returncode)


def _shown(listed: str) -> str:
    versions = dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)
    return ", ".join(f"{name} {versions[name]}" for name in SHOWN)


def _run(*command: str | Path) -> str:
    words = [str(word) for word in command]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(words)}\n{ended.stderr}")
    return ended.stdout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
