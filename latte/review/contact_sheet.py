"""Make thumbnails of training images, and a page to print with questions about images."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latte.data.images import open_image
from latte.interfaces import ImageReference, LatteError
from latte.io.files import write_text
from latte.io.paths import refuse_read_only
from latte.io.redaction import printable
from latte.review.importing import NONE, UNSURE
from latte.review.queues import QueueName
from latte.review.session import Review

_SIDE = 320
"""Length of the longer side of a picture on a sheet, in pixels."""


def picture_of(ids: Sequence[str], images: Sequence[ImageReference]) -> Callable[[int, int], bytes]:
    """Return a function `picture(index, side)` that returns the image `ids[index]` as a JPEG.

    The JPEG's longer side has at most `side` pixels. `images` are the images that the dataset has
    now. The function raises `LatteError` if the image is not one of them, or cannot be read.
    """
    found = {image.id: image for image in images}

    def picture(row: int, side: int) -> bytes:
        reference = found.get(ids[row])
        if reference is None:
            raise LatteError("the dataset no longer has this image", where=ids[row])
        image = open_image(reference, at_least=side)
        image.thumbnail((side, side))
        # A new JPEG has none of the original's metadata, such as the place where a photo was taken.
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    return picture


def refuse_existing(folder: Path) -> None:
    """Raise `LatteError` if `answers.csv` in `folder` exists, or cannot be written."""
    path = folder / "answers.csv"
    refuse_read_only(path)
    if path.exists():
        what = "there is a sheet already, perhaps with answers"
        hint = "import it first with --import and remove it, or give another folder"
        raise LatteError(what, where=str(path), hint=hint)


def write_sheet(
    review: Review,
    count: int,
    picture: Callable[[int, int], bytes],
    folder: Path,
    *,
    teaches: bool = False,
) -> tuple[Path, Path]:
    """Write `sheet.html` and `answers.csv` with the next questions; return both paths.

    If `teaches` is true, the answers become training labels; else they measure the gain.
    `picture(index, side)` returns an image as a JPEG. Call `refuse_existing` first.
    """
    queue: QueueName = "balanced" if teaches else "evidence"
    questions = review.upcoming(count, queue)
    if not questions:
        raise LatteError("every image is answered", where=str(review.file))
    names, ids = review.run.class_names, review.run.training_ids
    cards = [
        {
            "image": ids[one.images[0].row],
            "picture": _data_uri(picture, one.images[0].row),
            "options": [names[label] for label in one.options],
        }
        for one in questions
    ]
    page, table = folder / "sheet.html", folder / "answers.csv"
    # The template reads no other file, so the page needs no network.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("sheet.html").render(
        run=review.name, cards=cards, names=names, neither=NONE, unsure=UNSURE, teaches=teaches
    )
    write_text(page, printable(html))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "use"))
    writer.writerows((card["image"], "", review.queues[queue].use) for card in cards)
    write_text(table, text.getvalue())
    return page, table


def _data_uri(picture: Callable[[int, int], bytes], row: int) -> str | None:
    """Return a picture as a `data:` URI; None if the image cannot be read any more."""
    try:
        return f"data:image/jpeg;base64,{base64.b64encode(picture(row, _SIDE)).decode('ascii')}"
    except LatteError:
        return None
