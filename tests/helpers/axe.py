"""The script of axe-core, which checks accessibility: from npm, or from `axe-core-python`."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""Rules that are checked: WCAG 2.2 A and AA, and what axe-core recommends."""


@cache
def axe_script() -> str | None:
    """Return the script, or None if neither package can be had; it is kept in no repository."""
    return _from_npm() or _from_python()


def _from_npm() -> str | None:
    if shutil.which("npm") is None:
        return None
    with TemporaryDirectory() as folder:
        command = ["npm", "pack", "axe-core@4", "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
        (archive,) = Path(folder).glob("axe-core-4*.tgz")
        with tarfile.open(archive) as files:
            content = files.extractfile("package/axe.min.js")
            return content.read().decode() if content else None


def _from_python() -> str | None:
    package = find_spec("axe_core_python")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8")
