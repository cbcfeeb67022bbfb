"""Make the pictures of README.md and docs/: `python -m scripts.pictures [FOLDER]`.

A simulated person teaches a tiny CLIP on the real review page, with photos that latte-tiny ships
(Caltech 101, CC BY 4.0). FOLDER, `docs/pictures` without it, gets three files: `review.webp`, the
page that asks; `report.webp`, the first screen of the report; and `answering.webp`, an animation of
the person at work. Needs Chromium, and takes about two minutes.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from latte_tiny.dataset import IMAGES
from PIL import Image

from tests.browser.simulated_person import Person, label_rows, latte, review_page
from tests.helpers.chromium import Page, chromium

ROOT = Path(__file__).resolve().parent.parent
CLASSES = (
    "butterfly",
    "flamingo",
    "hedgehog",
    "ibis",
    "kangaroo",
    "leopard",
    "llama",
    "pigeon",
    "rooster",
)
NAME = "animals"
SIZE = (1280, 832)
FILM_SIZE = (768, 499)
STILL_QUALITY, FILM_QUALITY = 82, 36
PRESSED, ANSWERED, MEASURED, END = 350, 900, 250, 4_000
"""Milliseconds of a frame after a key, after an answer, after a random photo, and of the last."""
GROUPS, SHEETS, RANDOM_PHOTOS = 8, 2, 20
"""Numbers of questions of the views that are shown."""
STILL_AT = 2
"""Question of which `review.webp` is taken, once the odd photos are marked."""
PILES_ARE_SHOWN = (
    "document.body.dataset.busy === 'false' && document.querySelector('#written p') !== null"
    " && [...document.querySelectorAll('#piles img')].every((one) => one.complete)"
)


@dataclass
class FilmedPerson(Person):
    """A simulated person whose page is photographed after each key."""

    frames: list[tuple[Image.Image, int]] = field(default_factory=list)
    milliseconds: int = PRESSED

    def press(self, keys: Sequence[str]) -> None:
        """Press keys, with a frame after each."""
        for key in keys:
            super().press([key])
            self.film(self.milliseconds)

    def film(self, milliseconds: int) -> None:
        """Add a frame that stands for so long."""
        self.frames.append((picture(self.page), milliseconds))


def main(arguments: Sequence[str]) -> None:
    """Write the pictures."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder.resolve()
    with tempfile.TemporaryDirectory() as place, inside(Path(place)):
        truth = copied_photos(Path(NAME))
        classes = ["--classes", ",".join(CLASSES), "--model", "plugin:tiny"]
        subprocess.run(latte("adapt", NAME, *classes), check=True, capture_output=True)
        (run,) = (path.parent for path in Path("adapted").glob("*/pseudo_labels.csv"))
        frames, still = answering(run, truth)
        write_still(still, target / "review.webp")
        write_film(frames, target / "answering.webp")
        write_still(report_picture(newest_report()), target / "report.webp")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, so that the pictures show its relative paths only."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def copied_photos(folder: Path) -> dict[str, str]:
    """Copy the shipped photos of `CLASSES`; return the class of each copy by its name."""
    split = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
    rows = [row for part in ("train", "test") for row in split[part] if row[2] in CLASSES]
    folder.mkdir()
    truth = {}
    for number, (path, _, class_name) in enumerate(rows):
        name = f"IMG_{number:04}.jpg"
        shutil.copy(IMAGES / path, folder / name)
        truth[name] = class_name
    return truth


def answering(
    run: Path, truth: Mapping[str, str]
) -> tuple[list[tuple[Image.Image, int]], Image.Image]:
    """Let the person answer, measure and finish; return the film, and one picture of it."""
    truths = [truth[row["image"]] for row in label_rows(run)]
    with review_page(run, Path("profile")) as page:
        look(page)
        person = FilmedPerson(page, truth, truths, CLASSES, random.Random(0))
        person.film(ANSWERED)
        for question in range(1, GROUPS + 1):
            person.name_group()
            if question == STILL_AT:
                still, _ = person.frames[-2]
            person.wait()
            person.film(ANSWERED)
        for _ in range(SHEETS):
            person.press(["o"])
            person.look_through()
            person.wait()
            person.film(ANSWERED)
        person.press(["m"])
        person.milliseconds = MEASURED
        for _ in range(RANDOM_PHOTOS):
            person.press(person.choose(*person.look()))
        person.film(ANSWERED)
        said = person.estimate()
        page.press("x")
        page.wait_for(PILES_ARE_SHOWN, seconds=120)
        person.film(END)
        share = person.share_right()
    print(f"{share:.1f} % of the labels are right; the page says: {said}")  # noqa: T201
    return person.frames, still


def look(page: Page) -> None:
    """Set size and colours, and end all motion, so that a picture does not depend on its moment."""
    page.show(SIZE[0], height=SIZE[1])
    values = {"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in values.items()]
    page.call("Emulation.setEmulatedMedia", features=features)


def picture(page: Page) -> Image.Image:
    """Return a picture of the page once its photos are there."""
    page.wait_for("[...document.images].every((one) => one.loading === 'lazy' || one.complete)")
    png = page.call("Page.captureScreenshot", format="png")["data"]
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


def newest_report() -> Path:
    """Return the report of the run that the answers taught."""
    reports = Path("adapted").glob("*/report/index.html")
    return max(reports, key=lambda path: path.stat().st_mtime)


def report_picture(path: Path) -> Image.Image:
    """Return the first screen of a report."""
    with chromium(Path("profile-of-report")) as page:
        look(page)
        page.open(path)
        return picture(page)


def write_still(image: Image.Image, path: Path) -> None:
    """Write one picture."""
    image.save(path, "WEBP", quality=STILL_QUALITY, method=6)


def write_film(frames: Sequence[tuple[Image.Image, int]], path: Path) -> None:
    """Write an animation that starts again at its end."""
    small = [image.resize(FILM_SIZE, Image.Resampling.LANCZOS) for image, _ in frames]
    durations = [milliseconds for _, milliseconds in frames]
    options = {"quality": FILM_QUALITY, "method": 6, "duration": durations, "loop": 0}
    small[0].save(path, "WEBP", save_all=True, append_images=small[1:], **options)


if __name__ == "__main__":
    main(sys.argv[1:])
