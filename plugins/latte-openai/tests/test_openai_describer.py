"""Batches: bounded concurrency, order, no answer lost or requested twice, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from latte_openai.errors import RequestError
from latte_openai.loop import LoopThread
from openai_double import (
    ChatRequest,
    Reply,
    chat_server,
    describer,
    echo,
    questions,
    without_waiting,
    wrong,
)

from latte.api import LatteError


def test_concurrency_is_reached_and_not_exceeded(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def behaviour(request: ChatRequest) -> Reply:
        together.wait(20)
        return echo(request)

    with chat_server(behaviour) as server, describer(tmp_path, server.url, concurrency=4) as lmm:
        lmm.describe(questions(tmp_path, *"abcdefghijkl"))
    assert server.peak == 4


def test_wait_for_a_retry_keeps_its_concurrency_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    order: list[str] = []

    def behaviour(request: ChatRequest) -> Reply:
        order.append(request.prompt)
        return wrong(429) if request.time < 2 else echo(request)

    with chat_server(behaviour) as server, describer(tmp_path, server.url, concurrency=1) as lmm:
        lmm.describe(questions(tmp_path, *"abc"))
    assert order == [*"aaabbbccc"]


def test_answers_are_in_the_order_of_requests(tmp_path: Path) -> None:
    finished: list[str] = []
    done = {prompt: threading.Event() for prompt in "abc"}

    def behaviour(request: ChatRequest) -> Reply:
        """Answer the last request first."""
        later = {"a": "b", "b": "c"}.get(request.prompt)
        if later:
            assert done[later].wait(20)
        finished.append(request.prompt)
        done[request.prompt].set()
        return echo(request)

    with chat_server(behaviour) as server, describer(tmp_path, server.url, concurrency=3) as lmm:
        texts = lmm.describe(questions(tmp_path, *"abc"))
    assert finished == [*"cba"]
    assert texts == ["answer to a", "answer to b", "answer to c"]


def test_answers_before_a_fatal_error_are_returned(tmp_path: Path) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        return wrong(402) if request.prompt == "c" else echo(request)

    with chat_server(behaviour) as server, describer(tmp_path, server.url, concurrency=1) as lmm:
        answers = lmm.describe(questions(tmp_path, *"abcd"))
    assert answers[:2] == ["answer to a", "answer to b"]
    assert all(isinstance(answer, LatteError) for answer in answers[2:])
    assert server.prompts == [*"abc"]


def test_ten_failures_of_twenty_requests_are_not_repeated_and_lose_no_other_answer(
    tmp_path: Path,
) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        return wrong(400) if int(request.prompt) % 2 else echo(request)

    requests = questions(tmp_path, *map(str, range(20)))
    with chat_server(behaviour) as server, describer(tmp_path, server.url) as lmm:
        answers = lmm.describe(requests)
        assert lmm.counters == {"tokens": 70, "prompt tokens": 1000}
    assert answers[::2] == [f"answer to {prompt}" for prompt in range(0, 20, 2)]
    assert all(isinstance(answer, RequestError) for answer in answers[1::2])
    assert len(server.asked) == 20


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_texts_vary_above_temperature_0(tmp_path: Path, temperature: float) -> None:
    with describer(tmp_path, "http://localhost:1/v1", temperature=temperature) as lmm:
        assert lmm.varies == (temperature > 0)


def test_max_images_for_grid_and_separate_images(tmp_path: Path) -> None:
    with describer(tmp_path, "http://localhost:1/v1") as lmm:
        assert lmm.max_images == 1
    with describer(tmp_path, "http://localhost:1/v1", images="separate", max_images=4) as lmm:
        assert lmm.max_images == 4


def test_batches_are_several_times_the_concurrency(tmp_path: Path) -> None:
    with describer(tmp_path, "http://localhost:1/v1", concurrency=8) as lmm:
        assert lmm.batch_size >= 32


def test_the_fingerprint_names_the_model_and_not_the_server(tmp_path: Path) -> None:
    """A model found by asking gives the fingerprint of a named model."""
    with chat_server(models=("llava",)) as server:
        addresses = [("http://elsewhere:1/v1", "llava"), (server.url, "llava"), (server.url, None)]
        fingerprints = []
        for url, model in addresses:
            with describer(tmp_path, url, model=model, concurrency=2, timeout=9, retries=0) as lmm:
                fingerprints.append(lmm.fingerprint)
    assert len({*fingerprints}) == 1
    assert "llava" in fingerprints[0]


def test_settings_without_effect_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    with describer(tmp_path, "http://a/v1", format="png") as lmm:
        fingerprint = lmm.fingerprint
    with describer(tmp_path, "http://a/v1", format="png", quality=10, seed=5) as lmm:
        assert lmm.fingerprint == fingerprint


def test_describe_inside_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook."""

    async def cell() -> object:
        return lmm.describe(questions(tmp_path, "a"))

    with chat_server() as server, describer(tmp_path, server.url) as lmm:
        assert asyncio.run(cell()) == ["answer to a"]


def test_describe_after_close(tmp_path: Path) -> None:
    with chat_server() as server, describer(tmp_path, server.url) as lmm:
        lmm.describe(questions(tmp_path, "a"))
        lmm.close()
        lmm.close()
        assert lmm.describe(questions(tmp_path, "b")) == ["answer to b"]


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal; background processes of a shell ignore it."""
    previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous_handler)


@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="signals cannot be sent to a thread here"
)
@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_stops_at_once_and_loses_no_answer_that_has_arrived(tmp_path: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None
    loops_before = _loops()

    def behaviour(request: ChatRequest) -> Reply:
        if request.prompt == "b":
            signal.pthread_kill(main, signal.SIGINT)
            server.released.wait(20)
        return echo(request)

    with chat_server(behaviour) as server:
        with describer(tmp_path, server.url, concurrency=1) as lmm:
            first_answer, *other_answers = lmm.describe(questions(tmp_path, *"abc"))
            assert not server.released.is_set()
        assert _loops() == loops_before
    assert first_answer == "answer to a"
    assert all(isinstance(answer, KeyboardInterrupt) for answer in other_answers)
    assert server.prompts == ["a", "b"]


def test_ctrl_c_after_the_last_answer_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = LoopThread.run

    def run_and_interrupt(self: LoopThread, work: Coroutine[Any, Any, Any]) -> None:
        run(self, work)
        raise KeyboardInterrupt

    with (
        chat_server() as server,
        describer(tmp_path, server.url) as lmm,
        monkeypatch.context() as patched,
    ):
        patched.setattr(LoopThread, "run", run_and_interrupt)
        answers = lmm.describe(questions(tmp_path, *"ab"))
        with pytest.raises(KeyboardInterrupt):
            lmm.describe(questions(tmp_path, "a"))
    assert sorted(isinstance(answer, KeyboardInterrupt) for answer in answers) == [False, True]


def _loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "latte-openai"]
