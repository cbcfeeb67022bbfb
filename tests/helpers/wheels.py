"""Build the core and plugins, and environments to install them in."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = "latte-clip"
SOURCES = {
    CORE: ROOT,
    **{path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))},
}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return the output of a command, which must succeed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(source: Path, folder: Path, **environment: str) -> Path:
    """Write sdist and wheel of the package in `source`, as `make dist` does; returns the wheel.

    The wheel is built from the sdist, so that no compiled library of the checkout gets into it.
    """
    earlier_wheels = {*folder.glob("*.whl")}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source]
    run(*command, cwd=folder, **environment)
    (wheel,) = {*folder.glob("*.whl")} - earlier_wheels
    return wheel


def wheel_of(name: str, folder: Path) -> Path:
    """Return the wheel of a package in the folder `LATTE_DIST`, or a new one in `folder`."""
    if "LATTE_DIST" in os.environ:
        (wheel,) = Path(os.environ["LATTE_DIST"]).absolute().glob(f"{name.replace('-', '_')}-*.whl")
        return wheel
    return build(SOURCES[name], folder)


def install(python: Path, packages: Sequence[Path | str], *options: str | Path) -> None:
    """Install wheels, or packages by their names, into the environment of `python`.

    pip gets nothing from an index, and no dependencies: the environment has them. Without its
    cache, because pip knows a wheel that it built from an sdist by the path of the sdist alone, and
    would install yesterday's.
    """
    pip = ("-m", "pip", "install", "--disable-pip-version-check", "-q", "--no-cache-dir")
    run(python, *pip, "--no-index", "--no-deps", *options, *packages, cwd=python.parent)


def environment(folder: Path) -> Path:
    """Create an environment with the third-party packages of the tests; returns its Python.

    Packages, pip among them, are linked one by one, so that torch is not downloaded. With
    `--system-site-packages`, or with a .pth file that names the whole folder of packages, the
    environment would also see the editable installs of latte: their entry points would load plugins
    that a test has not installed, and their .pth files would import the checkout instead of the
    wheels.
    """
    venv.create(folder)
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
        Path(folder)
        for folder in sys.path
        if Path(folder).name in ("site-packages", "dist-packages")
    ]
    packages = {path.name: path for folder in reversed(folders) for path in folder.iterdir()}
    return [
        path
        for name, path in packages.items()
        if path.suffix != ".pth" and not name.startswith(("latte", "__editable__", "__pycache__"))
    ]


def names(wheel: Path) -> list[str]:
    """Return the names of its files."""
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def text(wheel: Path, name: str) -> str:
    """Return the text of the metadata file `name`."""
    with zipfile.ZipFile(wheel) as file:
        (path,) = [entry for entry in file.namelist() if entry.endswith(f".dist-info/{name}")]
        return file.read(path).decode()


def metadata(wheel: Path) -> Message:
    """Return its metadata."""
    return Parser().parsestr(text(wheel, "METADATA"))
