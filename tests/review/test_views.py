"""The prepared questions of the page's views."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.review.session import Review
from latte.review.views import Place, Views
from tests.helpers.reviews import made_up_review


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", ("cat", "dog", "bird"))


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_photo_that_nobody_looked_at_is_still_asked_about_at_random(
    review: Review, is_seen: bool
) -> None:
    views = Views(review, lambda label, number: [])
    measure, groups = Place("measure"), Place("groups")
    first, second = views.next(measure).questions[:2]
    group = views.next(groups).questions[0]
    keys = {image.key for image in (*first.images, *group.images)}
    views.answered(None, keys, seen=keys if is_seen else ())
    assert views.next(measure).question == (second if is_seen else first)
    assert views.next(groups).question != group
    views.close()
