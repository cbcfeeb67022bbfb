"""Reporter `html`: the report of a run as pages."""

from __future__ import annotations

from pathlib import Path

from latte.api import Reporter, RunResults, mistakes_page, run_page, write_text
from latte.components.options import HtmlOptions


class HtmlReporter(Reporter[HtmlOptions]):
    """Writes `report/index.html`: all measurements, and a gallery of training images.

    Also writes `report/mistakes.html`: wrongly classified and least certain images.
    """

    def report(self, results: RunResults) -> list[Path]:
        """Write the pages and return their paths."""
        folder, size = results.folder / "report", self.options.thumbnail
        index, mistakes = folder / "index.html", folder / "mistakes.html"
        gallery = self.options.gallery
        page = run_page(
            results, gallery_images=gallery, thumbnail_size=size, mistakes=mistakes.name
        )
        write_text(mistakes, mistakes_page(results, thumbnail_size=size))
        write_text(index, page)
        return [index, mistakes]
