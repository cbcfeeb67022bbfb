"""Make degraded copies of a data set in CoOp's layout, to see when adapting still helps.

python benchmarks/degrade.py SPLIT IMAGES OUT

writes a folder per kind of degradation, with a `split.json` of 2,000 training and 1,000 test
images drawn with seed 0. Run `recipes/adapt.yaml` on them as docs/results.md shows.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image, ImageFilter

TRAINING, TEST = 2000, 1000


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return the image shrunk to a shorter side of `side` pixels, and enlarged again."""
    scale = side / min(image.size)
    small = image.resize(
        [max(1, int(length * scale)) for length in image.size], Image.Resampling.BILINEAR
    )
    return small.resize(image.size, Image.Resampling.BILINEAR)


def edges(image: Image.Image) -> Image.Image:
    """Return the outlines of the image."""
    return image.convert("L").filter(ImageFilter.FIND_EDGES)


WAYS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda image: image.convert("L"),
    "upside-down": lambda image: image.rotate(180),
    "edges": edges,
    "32-pixels": partial(shrunk, side=32),
    "20-pixels": partial(shrunk, side=20),
    "14-pixels": partial(shrunk, side=14),
}


def main() -> None:
    """Parse arguments and write all copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", type=Path, help="split_zhou_*.json")
    parser.add_argument("images", type=Path, help="folder where the split's paths start")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    split = json.loads(options.split.read_text(encoding="utf-8"))
    draw = random.Random(0)
    train = draw.sample(split["train"] + split.get("val", []), TRAINING)
    test = draw.sample(split["test"], TEST)
    for name, spoil in WAYS.items():
        for path, _, _ in (*train, *test):
            target = options.out / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(options.images / path) as image:
                spoil(image.convert("RGB")).convert("RGB").save(target, quality=95)
        text = json.dumps({"train": train, "val": [], "test": test})
        (options.out / name / "split.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
