"""The size of a run's page that shows as many photos as a page can."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import pytest
from latte_tiny.dataset import IMAGES

from latte.interfaces import ClassifiedImage, Described, GalleryEntry, ImageReference
from latte.report.page.page import run_page
from latte.report.page.sheets import MOST_SHEETS
from tests.helpers.report_examples import changed, run_results

pytestmark = pytest.mark.thorough


def classified(image: ImageReference, label: int, true: int | None = None) -> ClassifiedImage:
    return ClassifiedImage(image, (label, 0), (0.4, 0.3), 0, true)


def test_a_page_with_all_its_photos_leaves_room_for_the_map_in_5_megabytes(tmp_path: Path) -> None:
    paths = sorted(IMAGES.rglob("*.jpg"))[:600]
    photos = islice(cycle(ImageReference(path.name, path) for path in paths), 2_000)
    images = [*photos]
    examples = tuple(
        classified(image, at // 12) for at, image in enumerate(images[: 12 * MOST_SHEETS])
    )
    text = Described("a photo of something that the page says in one long sentence. " * 3)
    of_group = Described(text.text, tuple(images[500:504]))
    entries = tuple(
        GalleryEntry(image, {"image": text, "group": of_group}, 0, 1, None) for image in images[:60]
    )
    results = changed(
        run_results(tmp_path),
        class_names=tuple(f"class {label}" for label in range(MOST_SHEETS)),
        pseudo_label_counts=((12, 12),) * MOST_SHEETS,
        models=(),
        confusions={},
        label_flows=(),
        prototypes=(),
        examples=examples,
        gallery=entries,
        mistakes=tuple(classified(image, 1, 0) for image in images[:100]),
        uncertain=tuple(classified(image, 2) for image in images[100:200]),
    )
    page = run_page(results)
    assert len(page) < 4_500_000, "5,000 dots of a map take 400,000 bytes"
