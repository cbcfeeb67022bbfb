"""Demo image set: a balanced random subset of Caltech-101 whose file names hide the class."""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from pathlib import Path

from PIL import Image

Entry = tuple[str, int, str]
SHORT_SIDE = 144
QUALITY = 72


def choose(entries: list[Entry], per_class: int, draw: random.Random) -> list[Entry]:
    """Return at most `per_class` entries of every class, in shuffled order."""
    by_class: dict[int, list[Entry]] = defaultdict(list)
    for entry in sorted(entries):
        by_class[entry[1]].append(entry)
    chosen = []
    for label in sorted(by_class):
        members = by_class[label]
        chosen += draw.sample(members, min(per_class, len(members)))
    draw.shuffle(chosen)
    return chosen


def shrink(source: Path, target: Path) -> None:
    """Write `source` to `target` as a small RGB JPEG without metadata; never enlarge the image."""
    with Image.open(source) as opened:
        image = opened.convert("RGB")
        factor = SHORT_SIDE / min(image.size)
        if factor < 1:
            width, height = (max(1, round(side * factor)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        image.save(target, "JPEG", quality=QUALITY, optimize=True)


def store(entries: list[Entry], root: Path, out: Path, part: str) -> list[list[str | int]]:
    """Write the images of `part` (`train` or `test`) as small JPEGs with numbers as names.

    Returns their entries of `split.json`: path, label and class name.
    """
    folder = out / part
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    listed: list[list[str | int]] = []
    for number, (path, label, name) in enumerate(entries, start=1):
        relative = f"{part}/{number:04d}.jpg"
        shrink(root / path, out / relative)
        listed.append([relative, label, name])
    return listed


def one_entry_a_line(split: dict[str, list[list[str | int]]]) -> str:
    """Return JSON with one entry per line, so that it is readable and its diffs are short."""
    parts = []
    for name, entries in split.items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        parts.append(f'"{name}": [\n{lines}\n]' if entries else f'"{name}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def build(
    split: Path, root: Path, out: Path, *, train: int = 10, test: int = 6, seed: int = 0
) -> None:
    """Draw the demo images, write them to `out`, and write `split.json`.

    Training images are from Caltech-101's parts train and val, test images from its part test.
    """
    content = json.loads(split.read_text(encoding="utf-8"))
    draw = random.Random(seed)
    for_training = [tuple(entry) for entry in content["train"] + content["val"]]
    for_testing = [tuple(entry) for entry in content["test"]]
    chosen_train = choose(for_training, train, draw)
    chosen_test = choose(for_testing, test, draw)
    names = {label: name for _, label, name in for_training}
    ordered = [names[label] for label in sorted(names)]
    result = {
        "train": store(chosen_train, root, out, "train"),
        "val": [],
        "test": store(chosen_test, root, out, "test"),
    }
    (out / "split.json").write_text(one_entry_a_line(result), encoding="utf-8")
    (out / "classes.txt").write_text("\n".join(ordered) + "\n", encoding="utf-8")
