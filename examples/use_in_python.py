"""Use a finished run from Python: predict, export.

python examples/use_in_python.py                        # makes a small run first
python examples/use_in_python.py --run runs/birds-1a2b3c4d --images more-photos
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import latte
from PIL import Image

from tiny_photos import write_photos


def main() -> None:
    """Load a run and use it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a run folder; default: make a small run")
    parser.add_argument("--images", type=Path, help="a folder of images to classify")
    parser.add_argument("--output", type=Path, default=Path("example-runs/use_in_python"))
    arguments = parser.parse_args()
    output = arguments.output.absolute()
    run, images = arguments.run, arguments.images
    if run is None or images is None:
        run, images = small_run(output), output / "labelled" / "pizza"

    # 1. Load. Neither the recipe's plugins nor its images are needed.
    model = latte.load(run)
    print(f"{len(model.classes)} classes, scale {model.scale:.1f}")

    # 2. One image: a path or a Pillow image.
    path = next(path for path in sorted(images.rglob("*")) if path.is_file())
    with Image.open(path) as photo:
        [prediction] = model.predict(photo.convert("RGB"), top_k=3)
    print(", ".join(f"{option.name} {option.score:.2f}" for option in prediction.classes))

    # 3. A folder, image by image; unreadable files are left out and reported.
    for prediction in model.predict_iter(images, on_unreadable=lambda image: print(image.reason)):
        print(f"{Path(prediction.image).name}: {prediction.name} ({prediction.confidence:.2f})")

    # 4. Export. ONNX needs `pip install 'latte-clip[onnx]'`.
    command = [sys.executable, "-m", "latte", "export", str(run), "--format", "onnx"]
    subprocess.run([*command, "--output", str(output / "onnx")], check=True)


def small_run(output: Path) -> Path:
    """Adapt the tiny CLIP to some photos and return the run folder."""
    write_photos(output)
    photos, classes = output / "photos", output / "classes.txt"
    settings = [
        f"dataset={{use: folder, root: '{photos}', classes: '{classes}'}}",
        "backbone={model: 'plugin:tiny'}",
        f"output={output / 'runs'}",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "latte", "run", "adapt", *options], check=True)
    return max((output / "runs").glob("adapt-*"), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
