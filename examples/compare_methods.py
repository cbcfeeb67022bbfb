"""Compare three methods on the same images and print one table.

    python examples/compare_methods.py

Labelled test images measure the methods; no method sees their labels.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tiny_photos import write_photos

METHODS = {
    "zero-shot": {"prototypes": "templates"},
    # Prototypes are re-estimated from texts and images; the describer `phrases` needs no GPU.
    "training-free": {
        "describer": "phrases",
        "descriptions": ["class", "image"],
        "prototypes": "re-estimated",
    },
    # All images are labelled together.
    "self-taught": {"labels": ["self-taught"], "prototypes": "from-labeler"},
}


def main() -> None:
    """Write one recipe per method, run all recipes, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("example-runs/compare_methods"))
    output = parser.parse_args().output.absolute()
    write_photos(output)
    common = {
        "dataset": {
            "use": "folder",
            "root": "photos",
            "classes": "classes.txt",
            "evaluation": "labelled",
        },
        "backbone": {"model": "plugin:tiny"},
        "train": {"max_steps": 0},
        "output": str(output / "runs"),
    }
    (output / "common.yaml").write_text(json.dumps(common), encoding="utf-8")
    recipes = []
    for name, method in METHODS.items():
        recipes.append(output / f"{name}.yaml")
        recipes[-1].write_text(json.dumps({"extends": "common.yaml", **method}), encoding="utf-8")

    # `sweep`, a command of latte-benchmarks, runs all recipes and prints the comparison.
    command = [sys.executable, "-m", "latte", "sweep", *map(str, recipes), "--seeds", "0"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
