"""Background event loop: an interruption leaves no unfinished work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import pytest
from latte_openai.loop import LoopThread


def test_run_returns_the_result_or_raises_the_exception() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise ValueError("no")

    loop = LoopThread()
    assert loop.run(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        loop.run(fail())
    loop.close()


def test_close_cancels_work_whose_wait_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, ended = threading.Event(), threading.Event()
    start = asyncio.run_coroutine_threadsafe

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.set()

    def interrupted(
        work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> Future[None]:
        start(work, loop)
        assert begun.wait(10)
        raise KeyboardInterrupt

    loop = LoopThread()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        loop.run(wait())
    loop.close()
    assert ended.is_set()
