"""A review without a run: two made-up models that disagree on every fourth image."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from PIL import Image

from latte.results.finished import PseudoLabels
from latte.results.folder import RunFolder
from latte.review.population import draw
from latte.review.session import Review

TOKEN = "token"


def made_up_review(
    folder: Path, names: Sequence[str], images: int = 200, corrections: str | None = None
) -> Review:
    """Return a review of `images` images; its answers go to `folder`."""
    keys = tuple(f"key {number}" for number in range(images))
    zero_shot = tuple(number % len(names) for number in range(images))
    adapted = tuple((one + (number % 4 == 0)) % len(names) for number, one in enumerate(zero_shot))
    run = SimpleNamespace(
        folder=RunFolder(folder),
        class_names=tuple(names),
        training_keys=keys,
        pseudo_labels=PseudoLabels(zero_shot, adapted, tuple(draw(key + "c") for key in keys)),
        has_candidate=False,
        recipe={"corrections": corrections},
        source=SimpleNamespace(recipe=str(folder / "recipe.yaml")),
    )
    return Review(cast("Any", run))


def square(row: int) -> bytes:
    """Return a picture whose colour is its row's."""
    buffer = BytesIO()
    colour = (row * 37 % 256, row * 91 % 256, row * 53 % 256)
    Image.new("RGB", (320, 240), colour).save(buffer, "JPEG")
    return buffer.getvalue()


@contextmanager
def served(review: Review) -> Iterator[str]:
    """Serve a review in a thread; the block gets the page's address."""
    import uvicorn

    from latte.review.server import make_app

    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    app = make_app(review, square, TOKEN, frozenset({host}))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://{host}/{TOKEN}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
