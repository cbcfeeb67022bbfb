"""Build wheels of the core and of plugins, and environments to install them in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
CORE = "latte-clip"
SOURCES = {
    CORE: ROOT,
    **{path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))},
}
_PIP = ("--no-deps", "--disable-pip-version-check", "-q")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return the output of a command, which must succeed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(source: Path, wheels: Path, **environment: str) -> Path:
    """Build the wheel of the package in `source`.

    Plugins are built in a copy: setuptools reuses the compiled library of an earlier build.
    """
    before = {*wheels.glob("*.whl")}
    command = [sys.executable, "-m", "pip", "wheel", *_PIP, "--no-build-isolation"]
    with TemporaryDirectory() as folder:
        if source != ROOT:
            built = shutil.ignore_patterns("build", "*.egg-info", "*.so", "__pycache__")
            source = shutil.copytree(source, Path(folder) / source.name, ignore=built)
        run(*command, "-w", wheels, source, cwd=wheels, **environment)
    (wheel,) = {*wheels.glob("*.whl")} - before
    return wheel


def install(python: Path, wheels: Sequence[Path]) -> None:
    """Install wheels into the environment of `python`."""
    run(python, "-m", "pip", "install", *_PIP, "--no-index", *wheels, cwd=python.parent)


def environment(folder: Path) -> Path:
    """Create an environment with the third-party packages of the tests; returns its Python."""
    venv.create(folder, with_pip=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for path in _third_party():
        (borrowed / path.name).symlink_to(path)
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return folder / "bin" / "python"


def _third_party() -> list[Path]:
    """Return installed packages except latte and its plugins."""
    folders = [
        Path(one) for one in sys.path if Path(one).name in ("site-packages", "dist-packages")
    ]
    found = {path.name: path for folder in reversed(folders) for path in folder.iterdir()}
    return [
        path
        for name, path in found.items()
        if path.suffix != ".pth" and not name.startswith(("latte", "_editable", "__pycache__"))
    ]


def names(wheel: Path) -> list[str]:
    """Return the names of its files."""
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def text(wheel: Path, name: str) -> str:
    """Return the text of the metadata file `name`."""
    with zipfile.ZipFile(wheel) as file:
        (path,) = [one for one in file.namelist() if one.endswith(f".dist-info/{name}")]
        return file.read(path).decode()


def metadata(wheel: Path) -> Message:
    """Return its metadata."""
    return Parser().parsestr(text(wheel, "METADATA"))
