"""A browser and a made-up review, for the tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.chromium import Page, chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.show(1280)
        yield opened
        opened.visit("about:blank")
