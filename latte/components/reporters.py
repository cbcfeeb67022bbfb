"""Built-in reporters, which write files of a finished run."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from latte.api import (
    NoOptions,
    Options,
    Reporter,
    RunResults,
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
    """Writes `report/index.html`, one file that shows a run and needs no other file."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the page and return its path."""
        path = results.folder / "report" / "index.html"
        gallery, size = self.options.gallery, self.options.thumbnail
        write_text(path, run_page(results, gallery_images=gallery, thumbnail_size=size))
        return [path]


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: model, data, method, measurements and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the model card and return its path."""
        path = results.folder / "models" / "adapted" / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
