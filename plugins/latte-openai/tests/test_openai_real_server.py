"""Real server: `transformers serve` with a tiny LLaVA of random weights."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from latte_author.testing.fixtures import described_images
from latte_openai.errors import RequestError
from openai_double import describer
from openai_tiny_llava import write_tiny_llava
from test_openai_contract import OnServer

from latte.api import ChoiceRequest, DescribeRequest

NEEDED = ("transformers", "fastapi", "uvicorn", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
START_SECONDS = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {MISSING}; pip install 'latte-openai[test]'"
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    write_tiny_llava(folder / "tiny-llava")
    with serving(folder) as address:
        yield address


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`transformers serve tiny-llava` in `folder`, without a network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "transformers.cli.transformers", "serve", "tiny-llava",
             "--device", "cpu", "--host", "127.0.0.1", "--port", port],
            cwd=folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            if httpx2.get(address, trust_env=False).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"no answer in {START_SECONDS} s: {log.read_text(errors='replace')}")


class TestTransformersServe(OnServer):
    """The contract of describers, `describe` and `choose`, with a server of another project."""

    @pytest.fixture(autouse=True)
    def server(self, url: str) -> None:
        type(self).options = {"base_url": url, "model": "tiny-llava", "max_tokens": 8}


def test_texts_depend_on_the_image_and_not_on_the_batch(url: str, tmp_path: Path) -> None:
    images = described_images(tmp_path / "asked", 6)
    requests = [DescribeRequest((image,), "Describe the photo.") for image in images]
    options = {"model": "tiny-llava", "max_tokens": 12, "concurrency": 4, "format": "png"}
    with describer(tmp_path, url, **options) as lmm:
        texts = lmm.describe(requests)
        alone = [lmm.describe([request])[0] for request in reversed(requests)]
        spent = lmm.counters
    assert alone == texts[::-1]
    assert len({*texts}) > 2
    assert spent["tokens"] > 0
    assert spent["prompt tokens"] > 12 * len("photo")


def test_the_only_model_is_found(url: str, tmp_path: Path) -> None:
    with describer(tmp_path, url, model=None) as lmm:
        assert "tiny-llava" in lmm.fingerprint


def test_choices_are_the_letters_that_a_server_without_log_probabilities_writes(
    url: str, tmp_path: Path
) -> None:
    images = described_images(tmp_path / "asked", 6)
    requests = [ChoiceRequest((image,), "Which is it?", ("cat", "dog")) for image in images]
    options = {"model": "tiny-llava", "max_tokens": 1, "format": "png", "concurrency": 1}
    with describer(tmp_path, url, **options) as lmm:
        choices = lmm.choose(requests)
        assert lmm.counters["tokens"] <= 6 + 1, "JSON is requested once: this server ignores it"
        texts = lmm.describe([request.question() for request in requests])
    assert choices == [
        request.read(text) if isinstance(text, str) else text
        for request, text in zip(requests, texts, strict=True)
    ]


def test_several_images_make_one_request(url: str, tmp_path: Path) -> None:
    images = described_images(tmp_path / "asked", 3)
    options = {"model": "tiny-llava", "max_tokens": 12, "images": "separate"}
    with describer(tmp_path, url, **options) as lmm:
        single = lmm.describe([DescribeRequest((images[0],), "Describe them.")])
        prompt_tokens = lmm.counters["prompt tokens"]
        together = lmm.describe([DescribeRequest(tuple(images), "Describe them.")])
        assert lmm.counters["prompt tokens"] - prompt_tokens == prompt_tokens + 2 * 4
    assert single != together


def test_samples_differ_and_are_reproducible(url: str, tmp_path: Path) -> None:
    image = described_images(tmp_path / "asked", 1)[0]
    requests = [DescribeRequest((image,), "Describe the photo.", sample) for sample in range(3)]
    options = {"model": "tiny-llava", "max_tokens": 12, "temperature": 1.0, "concurrency": 1}
    with describer(tmp_path, url, **options) as lmm:
        texts = lmm.describe(requests)
        assert len({*texts}) == 3
        assert lmm.describe(requests) == texts


def test_latte_describe_with_a_real_server(url: str, tmp_path: Path) -> None:
    """The README's recipe, on a few images."""
    recipe = tmp_path / "served.yaml"
    recipe.write_text(
        'dataset: tiny-caltech\nbackbone: {model: "plugin:tiny"}\n'
        f'describer: {{use: openai, base_url: "{url}", max_tokens: 12, concurrency: 4}}\n'
        "descriptions: [class, image, group]\nlabels: [frozen, current]\n"
        "prototypes: momentum\nloss: contrastive\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "latte", "describe", recipe, "--limit", "20"],
        cwd=tmp_path,
        env={**os.environ, "LATTE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [
        line
        for path in (tmp_path / "cache").rglob("part-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(lines) > 20
    assert sum('"text": null' not in line for line in lines) > 0.9 * len(lines)


def test_unknown_model_is_reported(url: str, tmp_path: Path) -> None:
    image = described_images(tmp_path / "asked", 1)[0]
    with describer(tmp_path, url, model="tiny-lava") as lmm:
        (error,) = lmm.describe([DescribeRequest((image,), "?")])
    assert isinstance(error, RequestError)
    assert "pinned to 'tiny-llava'" in str(error)
