"""The thread that answers wait for: interrupted at any moment, it leaves nothing under way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import pytest
from latte_openai.loop import LoopThread


def test_it_returns_what_was_waited_for_or_raises_what_went_wrong() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise ValueError("no")

    loop = LoopThread()
    assert loop.run(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        loop.run(fail())
    loop.close()


def test_work_whose_wait_was_interrupted_before_it_began_is_cancelled_on_close(
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
