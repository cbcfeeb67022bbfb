"""Built-in reporters, which write files of a finished run."""

from __future__ import annotations

from pathlib import Path

from latte.api import (
    NoOptions,
    Reporter,
    RunResults,
    mistakes_page,
    model_card,
    run_page,
    write_text,
)
from latte.components.options import HtmlOptions


class HtmlReporter(Reporter[HtmlOptions]):
    """Writes `report/index.html` with a gallery of training images, and `report/mistakes.html`."""

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


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: model, data, method, measurements and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the model card and return its path."""
        path = results.folder / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
