"""Adapt CLIP to a folder of unlabelled images, then classify other images.

    python examples/own_folder.py
    python examples/own_folder.py --images photos --classes classes.txt --new more-photos \
        --model ViT-B-32 --pretrained laion2b_s34b_b79k

Without arguments, the script uses the photos and the tiny CLIP of latte-tiny.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

from tiny_photos import write_photos


def main() -> None:
    """Write a recipe, run it, and predict."""
    arguments = parse_arguments()
    output = arguments.output.absolute()
    images, classes, new = arguments.images, arguments.classes, arguments.new
    if images is None:
        write_photos(output)
        images, classes, new = output / "photos", output / "classes.txt", output / "labelled"

    # 1. A recipe: which images, which CLIP, which method. JSON is valid YAML.
    recipe = {
        "dataset": {
            "use": "folder",
            "root": str(images.absolute()),
            "classes": str(classes.absolute()),
            "template": "a photo of a {class}.",
        },
        "backbone": {"model": arguments.model, "pretrained": arguments.pretrained},
        "guard": "evidence",  # keeps zero-shot CLIP if its score is low
        "labels": ["self-taught"],  # all images are labelled together
        "prototypes": "from-labeler",
        "train": {"max_steps": 0},  # no training
        "output": str(output / "runs"),
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "mine.yaml").write_text(json.dumps(recipe, indent=2), encoding="utf-8")

    # 2. Run it. If you run a finished recipe again, its results are reused.
    latte("run", output / "mine.yaml")
    run = max((output / "runs").glob("mine-*"), key=lambda path: path.stat().st_mtime)

    # 3. The labels of your images are in the run folder; new images need `predict`.
    print(f"labels of the images in {images}: {run / 'pseudo_labels.csv'}")
    if new is not None:
        latte("predict", run, new, "--output", output / "labels.csv")
        with (output / "labels.csv").open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[:6]:
                print(", ".join(row[:3]))


def latte(*arguments: str | Path) -> None:
    """Run a command of latte in this environment."""
    command = [sys.executable, "-m", "latte", *map(str, arguments)]
    subprocess.run(command, check=True)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="your unlabelled images")
    parser.add_argument("--classes", type=Path, help="text file with one class name per line")
    parser.add_argument("--new", type=Path, help="images to classify afterwards")
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--pretrained", default=None)
    parser.add_argument("--output", type=Path, default=Path("example-runs/own_folder"))
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.classes is None):
        parser.error("--images and --classes go together")
    return arguments


if __name__ == "__main__":
    main()
