"""Packages for tests: files with a dist-info, written without pip."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess


def write_package(
    site: Path,
    distribution: str,
    entry_points: Mapping[str, str],
    files: Mapping[str, str],
    version: str = "0.1.0",
) -> None:
    """Write a plugin of `files` (path -> text) as an installed distribution in `site`."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    points = [f"{name} = {module}\n" for name, module in entry_points.items()]
    written = {
        **files,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\n"
        f"Version: {version}\n",
        f"{stem}.dist-info/entry_points.txt": f"[latte.plugins]\n{''.join(points)}",
    }
    for name, text in written.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run_python(site: Path, *arguments: str) -> CompletedProcess[str]:
    """Run a new interpreter with `site` as working directory and PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
