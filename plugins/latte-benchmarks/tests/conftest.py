from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmark_server import Server, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, whatever proxies the environment names."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({}) as running:
        yield running
