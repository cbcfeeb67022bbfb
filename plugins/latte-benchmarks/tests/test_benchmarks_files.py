"""The real split files and images, where they are at hand: below `LATTE_DATA`, or beside here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from latte_benchmarks.check import (
    check,
    expected_sizes,
    sizes,
    split_digest,
    usable,
)
from latte_benchmarks.dataset import (
    Caltech101,
    Eurosat,
    PublishedDataset,
    PublishedOptions,
)
from latte_benchmarks.facts import DatasetFacts, all_facts

from latte.api import Context
from latte.api.sources import read_splits

_REPOSITORY = Path(__file__).parents[3]
_DATA = [Path(os.environ["LATTE_DATA"])] if os.environ.get("LATTE_DATA") else []
_DATA.append(_REPOSITORY.parent / "shared" / "data")


def found(*choices: str) -> Path:
    """The first of these paths that exists; skips the test if none does."""
    for data in _DATA:
        for choice in choices:
            if (data / choice).exists():
                return data / choice
    pytest.skip(f"{choices[0]} is not at hand")


WITH_SPLIT = [facts for facts in all_facts().values() if facts.split]

NAMES = {
    "caltech101": "face, leopard, motorbike, accordion",
    "dtd": "banded, blotchy, braided, bubbly",
    "eurosat": "annual crop land, forest, herbaceous vegetation land, highway or road",
    "flowers102": "pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea",
    "food101": "apple pie, baby back ribs, baklava, beef carpaccio",
    "oxford-pets": "abyssinian, american bulldog, american pit bull terrier, basset hound",
    "stanford-cars": "2000 am general hummer suv, 2012 acura rl sedan, 2012 acura tl sedan",
    "sun397": "abbey, airplane cabin, airport terminal, alley",
    "ucf101": "apply eye makeup, apply lipstick, archery, baby crawling",
}


@pytest.mark.parametrize("facts", WITH_SPLIT, ids=lambda facts: facts.name)
def test_a_published_split_is_as_the_table_says(facts: DatasetFacts) -> None:
    splits = read_splits(found(f"coop_splits/{facts.split}", f"{facts.folder}/{facts.split}"))
    assert sizes(splits) == expected_sizes(facts)
    names = [facts.spell(entry.name) for entry in splits.names_by_label().values()]
    assert ", ".join(names).startswith(NAMES[facts.name])
    assert len({*names}) == facts.classes
    assert not [name for name in names if "_" in name or name != name.lower()]
    assert not facts.dots or not [name for name in names if "." in name]
    assert facts.digest in ("", split_digest(splits))


@pytest.mark.parametrize(
    ("component", "folders", "classes"),
    [
        (Caltech101, ("caltech101", "caltech-101"), 100),
        (Eurosat, ("eurosat",), 10),
    ],
)
def test_real_images_are_read(
    component: type[PublishedDataset],
    folders: tuple[str, ...],
    classes: int,
    latte_context: Context,
) -> None:
    root = found(*folders)
    split = "split.json" if (root / "split.json").is_file() else None
    assert usable(check(component.facts, root, split))
    dataset = component(PublishedOptions(root=str(root), split=split), latte_context)
    assert len(dataset.class_names) == classes
    training, evaluation = dataset.training_images(), dataset.evaluation_images()
    assert min(len(training), len(evaluation)) >= 2000
    assert {labelled.label for labelled in evaluation} == {*range(classes)}
    assert all(image.read_bytes() for image in training[::500])
