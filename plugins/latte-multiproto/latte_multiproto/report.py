"""Page `report/prototypes.html` with the images and texts near each prototype."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from pydantic import Field
from torch import Tensor

from latte.api import (
    ImageReference,
    LatteError,
    Options,
    Reporter,
    RunResults,
    open_image,
    write_text,
)
from latte_multiproto.run_files import ImagePaths, RunFiles, missing_files, read_run
from latte_multiproto.variance import class_view

_TEMPLATES = Path(__file__).parent / "templates"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Near:
    """Training image near a prototype, with its thumbnail and its texts."""

    image: str
    thumbnail: str | None
    """`data:` URI of the thumbnail; None if the image cannot be found or read."""
    texts: dict[str, str]
    """The text about this image by the name of its description, without refusals."""


class GalleryOptions(Options):
    """Options of the report page `prototype-gallery`."""

    images: int = Field(default=3, ge=1, le=12, description="nearest images of each prototype")
    thumbnail: int = Field(
        default=96, ge=32, le=512, description="longer side of an image, in pixels"
    )


class PrototypeGallery(Reporter[GalleryOptions]):
    """Reporter that shows the prototypes of each class, with nearby training images and texts."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the page and return its path; the page lists files that the run folder lacks."""
        missing_names = missing_files(results.folder)
        class_names = results.record.data.class_names
        run = None if missing_names else read_run(results.folder, class_names)
        learners = _Pages(results, run, self.options).learners() if run else []
        path = results.folder / "report" / "prototypes.html"
        write_text(path, _render(results, learners, missing_names))
        return [path]


class _Pages:
    """Data of the page template, computed from the run folder."""

    def __init__(self, results: RunResults, run: RunFiles, options: GalleryOptions) -> None:
        self._results = results
        self._run = run
        self._options = options
        self._paths = ImagePaths(results.gallery)
        self._thumbnail = lru_cache(maxsize=None)(self._make_thumbnail)

    def learners(self) -> list[dict[str, Any]]:
        """Return the name and the prototypes of each learner."""
        classes = range(len(self._results.record.data.class_names))
        return [
            {"name": name, "classes": [self._class(name, label) for label in classes]}
            for name in self._run.classifiers
        ]

    def _class(self, learner: str, label: int) -> dict[str, Any]:
        classifier = self._run.classifiers[learner]
        is_of_class = classifier.owners == label
        bias = None if classifier.bias is None else classifier.bias[is_of_class]
        rows = (self._run.labels == label).nonzero().squeeze(1)
        view = class_view(classifier.weights[is_of_class], self._run.features, rows, bias)
        return {
            "name": self._results.record.data.class_names[label],
            "images": len(rows),
            "view": view,
            "prototypes": [
                {"images": len(image_rows), "near": self._near(image_rows)}
                for image_rows in view.nearest
            ],
        }

    def _near(self, image_rows: Tensor) -> list[Near]:
        """Return the nearest images of a prototype, from all its `image_rows`, nearest first."""
        images = [self._run.ids[row] for row in image_rows[: self._options.images].tolist()]
        return [
            Near(image, self._thumbnail(image), dict(self._run.texts.get(image, {})))
            for image in images
        ]

    def _make_thumbnail(self, image: str) -> str | None:
        path = self._paths.find(image)
        if path is None:
            return None
        size = self._options.thumbnail
        try:
            opened = open_image(ImageReference(image, path), at_least=2 * size)
        except LatteError:
            return None
        return thumbnail(opened, size)


def thumbnail(image: Image.Image, size: int) -> str:
    """Return a JPEG as a `data:` URI; its longer side has `size` pixels, its shorter at least 1."""
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    buffer = BytesIO()
    image.resize((width, height)).save(buffer, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _render(results: RunResults, learners: list[dict[str, Any]], missing_names: list[str]) -> str:
    style = (_TEMPLATES / "prototypes.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("prototypes.html").render(
        name=results.record.name,
        learners=learners,
        missing=missing_names,
        style=Markup(style),
        style_hash=f"sha256-{digest}",
    )
    return _UNPRINTABLE.sub("\ufffd", page)
