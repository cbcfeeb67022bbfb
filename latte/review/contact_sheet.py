"""Make thumbnails of training images, and a page to print with questions about images."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from latte.data.images import CheckedImage, open_image
from latte.interfaces import ImageReference, LatteError
from latte.io.files import write_text
from latte.io.paths import refuse_read_only
from latte.io.redaction import printable
from latte.results.given_labels import NONE, UNSURE
from latte.review.queues import QueueName
from latte.review.session import Review

_SIDE = 320
"""Length of the longer side of a picture on a sheet, in pixels."""


def picture_of(
    ids: Sequence[str], keys: Sequence[str], images: Sequence[ImageReference]
) -> Callable[[int, int], bytes]:
    """Return a function `picture(index, side)` that returns the image `ids[index]` as a JPEG.

    The JPEG's longer side has at most `side` pixels. `keys` are the content keys of `ids`, and
    `images` are the images that the dataset has now. If the image is not one of them, has changed,
    or cannot be read, a copy with the same content key is shown. The function raises `LatteError`
    if there is no such copy.
    """
    found = {image.id: image for image in images}

    def opened(row: int, side: int) -> Image.Image:
        copies = (one for one, key in zip(ids, keys, strict=True) if key == keys[row])
        for name in chain([ids[row]], copies):
            if name in found:
                with suppress(LatteError):
                    return open_image(CheckedImage(found[name], keys[row]), at_least=side)
        what = "this image has changed, cannot be read, or is not in the dataset any more"
        raise LatteError(what, where=ids[row])

    def picture(row: int, side: int) -> bytes:
        image = opened(row, side)
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
) -> tuple[Path, Path, int]:
    """Write `sheet.html` and `answers.csv` with the next questions.

    If `teaches` is true, the answers become training labels; else they measure the gain.
    `picture(index, side)` returns an image as a JPEG. Call `refuse_existing` first.

    Return both paths, and the number of images that cannot be shown. These images are not on the
    sheet. If the answers measure the gain, they are in the last rows of `answers.csv`, with the
    answer `cannot tell`, because the estimate uses only answers before the first unanswered image.
    Raises `LatteError` if no image can be shown.
    """
    queue: QueueName = "balanced" if teaches else "evidence"
    questions = review.upcoming(count, queue)
    if not questions:
        raise LatteError("every image is answered", where=str(review.file))
    names, ids = review.run.class_names, review.run.training_ids
    found = {one.images[0].row: _data_uri(picture, one.images[0].row) for one in questions}
    cards = [
        {
            "image": ids[one.images[0].row],
            "picture": found[one.images[0].row],
            "options": [names[label] for label in one.options],
        }
        for one in questions
        if found[one.images[0].row]
    ]
    gone = [ids[row] for row, shown in found.items() if not shown]
    if not cards:
        hint = f"put them back, or make the run again: {review.run.repeat_command()}"
        what = "the images have changed since this run"
        raise LatteError(what, where=str(review.run.folder.path), hint=hint)
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
    use = review.queues[queue].use
    writer.writerows((card["image"], "", use) for card in cards)
    writer.writerows((image, UNSURE, use) for image in gone if not teaches)
    write_text(table, text.getvalue())
    return page, table, len(gone)


def _data_uri(picture: Callable[[int, int], bytes], row: int) -> str | None:
    """Return a picture as a `data:` URI; None if the image cannot be shown any more."""
    try:
        return f"data:image/jpeg;base64,{base64.b64encode(picture(row, _SIDE)).decode('ascii')}"
    except LatteError:
        return None
