"""Tasks with predictions for Label Studio, and the labelling interface that they belong to.

The format is Label Studio's JSON of pre-annotated tasks for local files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from latte.interfaces import ImageReference, LatteError
from latte.io.files import write_text
from latte.io.redaction import printable
from latte.results.finished import RankedClasses

_IMAGE, _CHOICES = "image", "label"
"""Names of the tags `Image` and `Choices` in the labelling interface."""


def tasks(
    answers: Sequence[RankedClasses],
    images: Sequence[ImageReference],
    class_names: Sequence[str],
    root: Path,
    model: str,
) -> Iterator[dict[str, Any]]:
    """Yield one task per image, with the run's label as a prediction of `model`.

    `root` is the folder that Label Studio serves files from.
    """
    for answer, image in zip(answers, images, strict=True):
        path = image.path.resolve().relative_to(root)
        result = {
            "from_name": _CHOICES,
            "to_name": _IMAGE,
            "type": "choices",
            "value": {"choices": [printable(class_names[answer.labels[0]])]},
        }
        confidence = answer.confidences[0]
        yield {
            "data": {"image": _address(path), "image_id": answer.image},
            "predictions": [{"model_version": model, "score": confidence, "result": [result]}],
        }


def local_root(images: Sequence[ImageReference]) -> Path:
    """Return the parent of the folder that contains all images.

    It is the document root for Label Studio, which requires the images to be in a sub-folder.
    Raises `LatteError` for images in archives, which Label Studio cannot read.
    """
    for image in images:
        if image.span is not None:
            raise LatteError(
                "Label Studio cannot read images in archives",
                where=str(image.path),
                hint="write the images to a folder first: --format imagefolder",
            )
    return Path(os.path.commonpath([image.path.resolve().parent for image in images])).parent


def write_interface(path: Path, class_names: Sequence[str]) -> None:
    """Write the labelling interface: an image and a choice of one class."""
    choices = "".join(f"    <Choice value={quoteattr(printable(name))}/>\n" for name in class_names)
    write_text(
        path,
        f'<View>\n  <Image name="{_IMAGE}" value="$image"/>\n'
        f'  <Choices name="{_CHOICES}" toName="{_IMAGE}" choice="single">\n'
        f"{choices}  </Choices>\n</View>\n",
    )


def _address(path: Path) -> str:
    return f"/data/local-files/?d={quote(os.fsencode(path.as_posix()))}"
