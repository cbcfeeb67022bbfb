"""Reporter `html`: the report of a run as one page."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from latte.api import Options, Reporter, RunResults, run_page, write_text


class HtmlOptions(Options):
    """Number and size of gallery images."""

    gallery: int = Field(default=60, ge=0, description="training images in the gallery")
    thumbnail: int = Field(
        default=160, ge=32, le=1024, description="longer side of a gallery image, in pixels"
    )


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
