"""Built-in reporters, which write files of a finished run."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from latte.api import (
    NoOptions,
    Options,
    Reporter,
    RunResults,
    mistakes_page,
    model_card,
    run_page,
    write_text,
)


class HtmlOptions(Options):
    """Options of reporter `html`: number and size of the images in the report's gallery."""

    gallery: int = Field(default=60, ge=0, description="training images in the gallery")
    thumbnail: int = Field(
        default=160, ge=32, le=1024, description="longer side of a gallery image, in pixels"
    )


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
        path = results.folder / "models" / "adapted" / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
