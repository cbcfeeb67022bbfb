"""open_clip's log lines do not reach the root logger, and give it no handler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from latte.backbone.load import load_backbone
from latte.backbone.logs import open_clip_logs
from latte.interfaces.settings import BackboneSettings


class Recorded(logging.Handler):
    """Handler that keeps the records."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """The only handler of the root logger, which gets records of INFO and above."""
    root, handler = logging.getLogger(), Recorded()
    monkeypatch.setattr(root, "handlers", [handler])
    level = root.level
    root.setLevel(logging.INFO)  # which also empties the cache of enabled levels
    yield handler
    root.setLevel(level)


def test_loading_a_model_logs_nothing_to_the_root_logger(
    tiny_clip_folder: Path, recorded: Recorded
) -> None:
    root = logging.getLogger()
    handlers = [*root.handlers]
    settings = BackboneSettings(model=f"local-dir:{tiny_clip_folder}")
    load_backbone(settings, device="cpu", base_dir=Path.cwd(), model_folder=Path)
    assert recorded.records == []
    assert root.handlers == handlers
    assert root.filters == []


def test_no_handler_is_added_to_a_root_logger_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with open_clip_logs():
        logging.info("a line by a library")
    assert root.handlers == []


def test_other_records_of_the_root_logger_stay(recorded: Recorded) -> None:
    with open_clip_logs():
        logging.info("a line of the user's program")
    assert [record.getMessage() for record in recorded.records] == ["a line of the user's program"]
