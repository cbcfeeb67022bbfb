from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import Context
from tests.helpers import describe_doubles


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return describe_doubles.context(tmp_path)
