"""Event loop in a background thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class LoopThread:
    """Runs coroutines for callers without an event loop, and in notebooks, which run one."""

    def __init__(self) -> None:
        # With this factory the runner leaves the loop of the calling thread as it is.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        # A daemon thread, so that an interrupted program can exit.
        self._thread = threading.Thread(target=self._serve, name="latte-openai", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return the result of `work`; an exception during the wait, such as Ctrl-C, cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel unfinished work, and stop the loop and its thread.

        Work is unfinished if Ctrl-C came between its start and the wait for it.
        """
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._loop.run_forever()
