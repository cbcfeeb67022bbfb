"""Built-in reporters, which write files of a finished run."""

from __future__ import annotations

from pathlib import Path

from latte.api import NoOptions, Reporter, RunResults, model_card, run_page, write_text
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


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: model, data, method, measurements and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the card and return its path."""
        path = results.folder / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
