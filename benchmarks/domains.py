"""Make sets of other domains than photos in CoOp's format, from two Debian packages.

    apt-get download dataset-fashion-mnist openclipart-png
    dpkg -x dataset-fashion-mnist_*.deb DEBIAN && dpkg -x openclipart-png_*.deb DEBIAN
    python benchmarks/domains.py DEBIAN OUT

Writes `OUT/fashion`, `OUT/clipart` (each folder of 40 drawings or more is a class) and
`OUT/things` (the classes of clipart whose name says what is drawn; images are in `clipart`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import warnings
from pathlib import Path

import numpy
from PIL import Image

DomainImage = tuple[str, int, str]
Split = dict[str, list[DomainImage]]

GARMENTS_TEXT = "t-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot"
GARMENTS = GARMENTS_TEXT.split(",")
LEAST_DRAWINGS = 40
LONGEST_SIDE = 192
NOT_CLASSES = {"unsorted", "special", "duplicates"}
THINGS_TEXT = (
    "birds bugs mammals computer buttons food beverages desserts fruit office people smilies "
    "stickmen plants music sports arrows jigsaw stars flags tools transportation roadsigns vehicles"
)
THINGS = THINGS_TEXT.split()


def write(split: Split, folder: Path) -> None:
    """Write `split.json` of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")


def fashion(debian: Path, folder: Path, draw: random.Random) -> Split:
    """Write 2,000 training and 1,000 test images of Fashion-MNIST, dark on white."""
    split: Split = {"train": [], "val": [], "test": []}
    source = debian / "usr/share/datasets/fashion-mnist"
    (folder / "img").mkdir(parents=True, exist_ok=True)
    for part, stem, count in (("train", "train", 2000), ("test", "t10k", 1000)):
        images = _array(source / f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = _array(source / f"{stem}-labels-idx1-ubyte.gz", 8)
        for row in draw.sample(range(len(images)), count):
            path, label = f"img/{part}{row}.png", int(labels[row])
            Image.fromarray(255 - images[row]).convert("RGB").save(folder / path)
            split[part].append((path, label, GARMENTS[label]))
    return split


def clipart(debian: Path, folder: Path, draw: random.Random) -> Split:
    """Write drawings on white; a third of each class is for testing."""
    split: Split = {"train": [], "val": [], "test": []}
    (folder / "img").mkdir(parents=True, exist_ok=True)
    for label, (name, paths) in enumerate(_classes(debian / "usr/share/openclipart/png")):
        draw.shuffle(paths)
        for place, source in enumerate(paths):
            path = f"img/{label}_{place}.png"
            if _drawing(source, folder / path):
                part = "test" if place < len(paths) // 3 else "train"
                split[part].append((path, label, name))
    return split


def things(split: Split) -> Split:
    """Return the split of the clipart classes in `THINGS`."""
    return {
        part: [(path, THINGS.index(name), name) for path, _, name in entries if name in THINGS]
        for part, entries in split.items()
    }


def _classes(base: Path) -> list[tuple[str, list[Path]]]:
    folders = [
        path
        for path in sorted(base.rglob("*"))
        if path.is_dir() and not NOT_CLASSES & {*path.relative_to(base).parts}
    ]
    classes = [(path.name.replace("_", " "), sorted(path.glob("*.png"))) for path in folders]
    return [(name, paths) for name, paths in classes if len(paths) >= LEAST_DRAWINGS]


def _drawing(source: Path, target: Path) -> bool:
    """Write a small copy on white; return False if Pillow cannot open the image."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(source) as opened:
            image = opened.convert("RGBA")
    except (OSError, Image.DecompressionBombError):
        return False
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    canvas.save(target)
    return True


def _array(path: Path, header: int) -> numpy.ndarray:
    return numpy.frombuffer(gzip.decompress(path.read_bytes())[header:], numpy.uint8)


def main() -> None:
    """Read the unpacked packages and write the sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("debian", type=Path, help="where the packages were unpacked")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    draw = random.Random(0)
    write(fashion(options.debian, options.out / "fashion", draw), options.out / "fashion")
    drawings = clipart(options.debian, options.out / "clipart", draw)
    write(drawings, options.out / "clipart")
    write(things(drawings), options.out / "things")


if __name__ == "__main__":
    main()
