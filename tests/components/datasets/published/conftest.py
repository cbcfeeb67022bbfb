from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latte.interfaces import Backbone, Context
from tests.helpers.dataset_server import Server, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, whatever proxies the environment names."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({}) as running:
        yield running


def _no_clip() -> Backbone:
    raise AssertionError("datasets never need the CLIP")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, tmp_path / "cache", "cpu", 0, _no_clip)
