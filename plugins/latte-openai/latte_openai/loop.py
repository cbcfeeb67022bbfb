"""Event loop in a background thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class LoopThread:
    """Thread with an event loop that runs coroutines for synchronous callers, even in notebooks."""

    def __init__(self) -> None:
        # With this factory the runner does not change the event loop of the calling thread.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        # The thread is a daemon, so that an interrupted program can exit.
        self._thread = threading.Thread(target=self._serve, name="latte-openai", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run `work` and return its result; Ctrl-C during the wait cancels `work`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel work that Ctrl-C left unfinished, and stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._loop.run_forever()
