"""A review without a run: two made-up models that disagree on every fourth image."""

from __future__ import annotations

import csv
import io
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from latte.interfaces import LatteError, Progress
from latte.io.files import write_text
from latte.models.classified import OwnLabels
from latte.models.live_labels import LiveLabels, SupersededError
from latte.models.similar_images import training_features
from latte.recipe.dump import dump_yaml
from latte.results.folder import RunFolder
from latte.results.population import draw
from latte.results.run import Run
from latte.results.stages import STAGES
from latte.review.asking import order_of_asking
from latte.review.live import LiveMethod
from latte.review.outputs import OutputName, Outputs
from latte.review.pictures import Pictures
from latte.review.session import Mark, Review
from tests.helpers.records import RECORD, record
from tests.helpers.strata import measurements

TOKEN = "token"


def made_up_review(
    folder: Path,
    names: Sequence[str],
    images: int = 200,
    corrections: str | None = None,
) -> Review:
    """Return a review of `images` images; its answers go to `folder`."""
    recipe: dict[str, Any] = {"name": "animals", "dataset": {"classes": [*names]}}
    recipe |= {} if corrections is None else {"corrections": corrections}
    write_text(folder / "recipe.yaml", dump_yaml(recipe))
    record(folder, ["source"], {"recipe": str(folder / "recipe.yaml"), "values": recipe})
    finished = {"fingerprint": "", "seconds": 1.0}
    record(folder, ["stages"], dict.fromkeys(STAGES[:5], finished))
    write_labels(folder, names, images)
    return Review(Run(RunFolder(folder)))


def write_labels(folder: Path, names: Sequence[str], images: int = 200) -> None:
    """Write the labels of a run that zero-shot and adapted give to made-up images.

    They differ on each image whose number is a multiple of 4. The content key of the image
    `3.jpg` is `key 3`.
    """
    count = len(names)
    rows = [["image", "zero_shot", "adapted", "confidence"]]
    lines = []
    for number in range(images):
        adapted = (number + (number % 4 == 0)) % count
        confidence = repr(draw(f"key {number}c"))
        rows.append([f"{number}.jpg", names[number % count], names[adapted], confidence])
        lines.append(json.dumps({"id": f"{number}.jpg", "key": f"key {number}"}) + "\n")
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(folder / "pseudo_labels.csv", text.getvalue())
    write_text(folder / "data" / "training.jsonl", "".join(lines))
    if (folder / RECORD).exists():
        record(folder, ["data", "class_names"], [*names])
    about = json.dumps({"class_names": [*names], "learners": ["main"]})
    path = RunFolder(folder).adapted_model.prototypes
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"main.owners": np.arange(count)}, path, {"latte": about})


def keep_zero_shot(folder: Path) -> None:
    """Change the run as if its guard had kept zero-shot CLIP: its labels are those of zero-shot."""
    run = RunFolder(folder)
    text = run.pseudo_labels.read_text(encoding="utf-8")
    write_text(run.adapted_model.pseudo_labels, text)
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    used = [(image, zero_shot, zero_shot, "0.5") for image, zero_shot, *_ in rows]
    zero_shot_csv = io.StringIO(newline="")
    csv.writer(zero_shot_csv).writerows([header, *used])
    write_text(run.pseudo_labels, zero_shot_csv.getvalue())


def with_series(folder: Path, series: Sequence[int]) -> Review:
    """Write the series of a made-up review's images; return the review with them."""
    rows = [
        f"{number}.jpg,{series_number},near-copies\n" for number, series_number in enumerate(series)
    ]
    write_text(folder / "data" / "series.csv", "".join(["image,series,origin\n", *rows]))
    return Review(Run(RunFolder(folder)))


def answer_all(review: Review, label: Literal["zero_shot", "adapted"], count: int) -> None:
    """Answer about `count` random images, mostly disagreements, as if this model were right."""
    for _ in range(count):
        image = next(measurements(review.population, review.answers()))
        name = review.run.class_names[getattr(image, label)]
        review.save("evidence", [Mark(image.key, "class", name)])


def square(row: int, side: int = 320) -> bytes:
    """Return a picture whose colour is its row's."""
    buffer = BytesIO()
    colour = (row * 37 % 256, row * 91 % 256, row * 53 % 256)
    Image.new("RGB", (side, side * 3 // 4), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def without(*gone: int) -> Callable[[int, int], bytes]:
    """Return a function that returns pictures, but not of the images `gone`."""

    def picture(row: int, side: int) -> bytes:
        if row in gone:
            raise LatteError("the dataset no longer has this image")
        return square(row, side)

    return picture


class ConfusedMethod:
    """Method for made-up reviews: images of a class get the class that answers give to them most.

    Its labels without answers are those of the review's adapted model.
    """

    why_not = ""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.fits = self.measured = 0

    def fit(self, is_stale: Callable[[], bool]) -> LiveLabels:
        self.fits += 1
        if is_stale():
            raise SupersededError
        return self._labels()

    def measure(self, is_stale: Callable[[], bool]) -> LiveLabels:
        if is_stale():
            raise SupersededError
        self.measured += 1
        answered = {key: bool(place % 4) for place, key in enumerate(self.review.answers())}
        return replace(self._labels(), left_out_right=answered)

    def _labels(self) -> LiveLabels:
        run = self.review.run
        names, rows = self.review.class_names, run.rows.adapted_labels
        keys = run.rows.training_keys
        given = {key: answer.label for key, answer in self.review.answers().items()}
        votes: dict[int, Counter[int]] = {}
        for key, label in zip(keys, rows.adapted, strict=True):
            if (name := given.get(key)) is not None:
                votes.setdefault(label, Counter())[names.index(name)] += 1
        named = {label: counts.most_common(1)[0][0] for label, counts in votes.items()}
        classes = len(names)
        labels = torch.tensor([named.get(label, label) for label in rows.adapted])
        likeliest = torch.stack([labels, (labels + 1) % classes], dim=1)
        first = torch.tensor(rows.confidence)
        confidences = torch.stack([first, 1 - first], dim=1)
        person = torch.tensor(
            [names.index(given[key] or "") if given.get(key) else -1 for key in keys]
        )
        own = OwnLabels(labels, likeliest, confidences, confidences).corrected(person)
        return LiveLabels(torch.tensor(rows.frozen), own, own)


@contextmanager
def served(
    review: Review,
    picture: Callable[[int, int], bytes] = square,
    report: Callable[[str], None] = lambda line: None,
    teach: Callable[[Progress], tuple[Path, Sequence[str]]] | None = None,
    method: Callable[[], LiveMethod] | None = None,
    outputs: Outputs | None = None,
) -> Iterator[str]:
    """Serve a review in a thread; the block gets the page's address.

    `teach` teaches a model; it returns its run folder and sentences on it. `method` opens the
    method that learns while a person answers. `outputs` writes beside the photos.
    """
    from latte.review.endpoints import Endpoints
    from latte.review.server import make_app
    from latte.review.serving import server_of

    def no_model(progress: Progress) -> tuple[Path, Sequence[str]]:
        raise LatteError("this test teaches no model")

    def no_output(run: Path, name: OutputName, path: Path) -> None:
        raise AssertionError("there is no folder of photos")

    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    pictures = Pictures(picture, len(review.run.rows.training_keys))
    endpoints = Endpoints(
        review,
        pictures,
        method or (lambda: ConfusedMethod(review)),
        teach or no_model,
        lambda: order_of_asking(review.run, review.images, review.answers(), training_features),
        training_features,
        lambda label, count: range(count),
        report,
        outputs or Outputs(None, no_output),
    )
    app = make_app(endpoints, pictures, TOKEN, frozenset({host}))
    server = server_of(app, endpoints.events.close)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://{host}/{TOKEN}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        endpoints.close()
