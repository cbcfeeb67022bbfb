"""Small synthetic trees in the layouts of the ten published datasets."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

from latte_benchmarks.dataset import VARIANTS
from latte_benchmarks.facts import DatasetFacts, find_facts
from PIL import Image


def _picture() -> bytes:
    buffer = BytesIO()
    Image.effect_noise((40, 30), 80).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


PICTURE = _picture()

TreeImage = tuple[str, int, str]

# Two classes of each: the pattern of an image's path below the image folder, and CoOp's name.
CLASSES = {
    "caltech101": [("Faces/image_{:04}.jpg", "face"), ("sea_horse/image_{:04}.jpg", "sea_horse")],
    "dtd": [("banded/banded_{:04}.jpg", "banded"), ("polka-dotted/pd_{:04}.jpg", "polka-dotted")],
    "eurosat": [
        ("AnnualCrop/AnnualCrop_{}.jpg", "Annual Crop Land"),
        ("SeaLake/SeaLake_{}.jpg", "Sea or Lake"),
    ],
    "fgvc-aircraft": [("{:07}.jpg", "707-320"), ("1{:06}.jpg", "Cessna 172")],
    "flowers102": [("image_{:05}.jpg", "pink primrose"), ("image_1{:04}.jpg", "colt's foot")],
    "food101": [("apple_pie/{}.jpg", "apple_pie"), ("ramen/{}.jpg", "ramen")],
    "oxford-pets": [
        ("Abyssinian_{}.jpg", "abyssinian"),
        ("american_bulldog_{}.jpg", "american_bulldog"),
    ],
    "stanford-cars": [
        ("cars_train/{:05}.jpg", "2012 Audi TTS Coupe"),
        ("cars_test/{:05}.jpg", "2012 Bentley Supersports Conv. Convertible"),
    ],
    "sun397": [
        ("a/abbey/sun_{}.jpg", "abbey"),
        ("a/apse/indoor/sun_{}.jpg", "indoor apse"),
    ],
    "ucf101": [
        ("Apply_Eye_Makeup/v_ApplyEyeMakeup_g{:02}_c01.jpg", "Apply_Eye_Makeup"),
        ("Yo_Yo/v_YoYo_g{:02}_c01.jpg", "Yo_Yo"),
    ],
}

SPELLED = {
    "caltech101": ("face", "sea horse"),
    "dtd": ("banded", "polka-dotted"),
    "eurosat": ("annual crop land", "sea or lake"),
    "fgvc-aircraft": ("707-320", "cessna 172"),
    "flowers102": ("pink primrose", "colt's foot"),
    "food101": ("apple pie", "ramen"),
    "oxford-pets": ("abyssinian", "american bulldog"),
    "stanford-cars": ("2012 audi tts coupe", "2012 bentley supersports conv convertible"),
    "sun397": ("abbey", "indoor apse"),
    "ucf101": ("apply eye makeup", "yo yo"),
}
"""The names as LatteCLIP's code spells them."""


def entries(name: str, split: str) -> list[TreeImage]:
    """Return three images per class in train, one in val and two in test."""
    numbers = {"train": (1, 2, 3), "val": (4,), "test": (5, 6)}[split]
    return [
        (pattern.format(number), label, class_name)
        for label, (pattern, class_name) in enumerate(CLASSES[name])
        for number in numbers
    ]


def splits(name: str) -> dict[str, list[TreeImage]]:
    return {split: entries(name, split) for split in ("train", "val", "test")}


def write_tree(name: str, root: Path) -> DatasetFacts:
    """A dataset of twelve images in its own layout."""
    facts = find_facts(name)
    write_images(facts, root)
    write_splits(facts, root, splits(name))
    return facts


def write_splits(facts: DatasetFacts, root: Path, splits: dict[str, list[TreeImage]]) -> None:
    """The split file, or FGVC-Aircraft's lists."""
    if facts.split:
        (root / facts.split).write_text(json.dumps(splits))
        return
    names = [class_name for _, class_name in CLASSES[facts.name]]
    (root / VARIANTS).write_text("\n".join(names) + "\n")
    for split, listed in splits.items():
        lines = [f"{Path(path).stem} {class_name}" for path, _, class_name in listed]
        (root / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")


def write_images(facts: DatasetFacts, root: Path) -> None:
    for split in splits(facts.name).values():
        for path, _, _ in split:
            write_image(root / facts.images / path)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)
