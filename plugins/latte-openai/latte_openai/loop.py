"""An event loop in a thread of its own, which works wherever the caller runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class LoopThread:
    """Runs coroutines for callers without a loop, and for those in a notebook that has one."""

    def __init__(self) -> None:
        # With a factory of its own, for the caller's thread may have a loop that is to stay.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        # A daemon: a program that is interrupted must not wait for it.
        self._thread = threading.Thread(target=self._serve, name="latte-openai", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Wait for `work`; whatever interrupts the wait, such as Ctrl-C, cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what is still under way, and stop the loop and its thread.

        Ctrl-C can come between the start of some work and the wait for it.
        """
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._loop.run_forever()
