"""A browser and a made-up review, for the tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latte.review.session import Review
from tests.browser.review_page import NAMES
from tests.helpers.chromium import Page, chromium
from tests.helpers.reviews import made_up_review


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.show(1280)
        yield opened


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path, NAMES)
