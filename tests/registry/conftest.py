from collections.abc import Iterator
from pathlib import Path

import pytest

from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry


@pytest.fixture
def zoo_on_path(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the packages of the zoo importable in this process."""
    monkeypatch.syspath_prepend(str(zoo))
    return zoo


@pytest.fixture
def registry(zoo_on_path: Path) -> Iterator[Registry]:
    return Registry(discover_plugins({}))
