"""Reporter `html`: the report of a run as one page."""

from __future__ import annotations

from pathlib import Path

from latte.api import Reporter, RunResults, run_page, write_text
from latte.components.options import HtmlOptions


class HtmlReporter(Reporter[HtmlOptions]):
    """Writes `report/index.html`: all measurements, and a gallery of training images."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the page and return its path."""
        path = results.folder / "report" / "index.html"
        page = run_page(
            results,
            gallery_images=self.options.gallery,
            thumbnail_size=self.options.thumbnail,
        )
        write_text(path, page)
        return [path]
