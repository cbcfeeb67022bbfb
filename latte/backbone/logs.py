"""Keep the log lines of open_clip out of the root logger, which belongs to the user's program."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger("latte.open_clip")
_log.setLevel(logging.WARNING)  # it logs a dozen lines per model at INFO


class _OpenClipFilter(logging.Filter):
    """Filter that hands open_clip's records to the logger `latte.open_clip`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record of open_clip, which then reaches no handler of the root."""
        if "open_clip" not in Path(record.pathname).parts:
            return True
        if _log.isEnabledFor(record.levelno):
            record.name = _log.name
            _log.handle(record)
        return False


@contextmanager
def open_clip_logs() -> Iterator[None]:
    """Hand what open_clip logs in the `with` block to the logger `latte.open_clip`.

    open_clip calls `logging.info` and `logging.warning`, which log to the root logger and, if that
    has no handler, give it one that prints on standard error.
    """
    root, divert, placeholder = logging.getLogger(), _OpenClipFilter(), logging.NullHandler()
    root.addFilter(divert)
    root.addHandler(placeholder)  # so that `logging.info` adds no handler
    try:
        yield
    finally:
        root.removeHandler(placeholder)
        root.removeFilter(divert)
