"""Where a page finds the reports of the runs that it compares."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote


def report_link(page: Path, folder: Path) -> str | None:
    """The relative address of a run's report, if it lies below the page or beside it; else None.

    A page and the folder that both are in can be moved together and keep their links.
    """
    report = folder.resolve() / "report" / "index.html"
    here = page.absolute().parent.resolve()
    if not report.is_file():
        return None
    if report.is_relative_to(here):
        return _address("./", report.relative_to(here))
    if here.parent != here.parent.parent and report.is_relative_to(here.parent):
        return _address("../", report.relative_to(here.parent))
    return None


def _address(start: str, path: Path) -> str:
    return start + "/".join(quote(part, safe="") for part in path.parts)
