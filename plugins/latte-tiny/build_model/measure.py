"""Zero-shot accuracy of a model folder: `python -m build_model.measure MODEL --split FILE`.

The model runs with open_clip alone, so any user of the folder gets these results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor


def say(line: str) -> None:
    """Write one line of results to standard output."""
    sys.stdout.write(line + "\n")


Entry = tuple[str, int, str]


class Model:
    """Model that open_clip loads from a folder."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder.resolve()}"
        model, _, self.transform = open_clip.create_model_and_transforms(name)
        self.tokenizer = open_clip.get_tokenizer(name)
        self.model: Any = model.eval()
        self.model.visual.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def texts(self, texts: list[str], batch: int = 256) -> Tensor:
        """Return unit-length text features (N, D)."""
        parts = [texts[i : i + batch] for i in range(0, len(texts), batch)]
        return torch.cat(
            [self.model.encode_text(self.tokenizer(part), normalize=True) for part in parts]
        )

    @torch.inference_mode()
    def images(self, paths: list[Path], batch: int = 64) -> Tensor:
        """Return unit-length image features (N, D)."""
        out = []
        for start in range(0, len(paths), batch):
            images = []
            for path in paths[start : start + batch]:
                with Image.open(path) as image:
                    images.append(self.transform(image.convert("RGB")))
            stacked = torch.stack(images).to(memory_format=torch.channels_last)
            out.append(self.model.encode_image(stacked, normalize=True))
        return torch.cat(out)


def class_names(entries: list[Entry]) -> list[str]:
    """Return the class names in label order."""
    names = {label: name for _, label, name in entries}
    return [names[label] for label in range(len(names))]


def zero_shot(model: Model, split: Path, root: Path, template: str, part: str) -> None:
    """Print top-1 accuracy on one part of a CoOp split, for class names with and without `_`."""
    content = json.loads(split.read_text(encoding="utf-8"))
    entries: list[Entry] = content[part]
    names = class_names(content["train"] or entries)
    began = time.perf_counter()
    images = model.images([root / path for path, _, _ in entries])
    seconds = time.perf_counter() - began
    labels = torch.tensor([label for _, label, _ in entries])
    say(f"{split.name} {part}: {len(entries)} images, {len(names)} classes, {seconds:.1f} s")
    spellings = {
        "as in the split": names,
        "without underscores": [n.replace("_", " ") for n in names],
    }
    for how, spelling in spellings.items():
        texts = model.texts([template.format(name) for name in spelling])
        right = (images @ texts.T).argmax(1) == labels
        each = torch.stack([right[labels == label].float().mean() for label in labels.unique()])
        say(
            f"  names {how}: top-1 {100 * right.float().mean():.2f}, "
            f"mean over classes {100 * each.mean():.2f}"
        )


def retrieval(model: Model, captions: Path, images: Path, part: str) -> None:
    """Print retrieval recall both ways, for 1,000 images of Flickr8k and their first captions."""
    from .corpus import caption_split, read_captions

    table = read_captions(captions)
    names = caption_split(table)[part]
    pictures = model.images([images / name for name in names])
    sentences = model.texts([table[name][0] for name in names])
    own = torch.arange(len(names))
    for how, scores in (
        ("text to image", sentences @ pictures.T),
        ("image to text", pictures @ sentences.T),
    ):
        place = (scores > scores[own, own][:, None]).sum(1)
        hits = " ".join(f"R@{k} {100 * (place < k).float().mean():.1f}" for k in (1, 5, 10))
        say(f"Flickr8k {part}, {len(names)} images, {how}: {hits}")


def main() -> None:
    """Parse the arguments and print the results that they select."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with open_clip_config.json")
    parser.add_argument("--split", type=Path, help="split file in CoOp form")
    parser.add_argument("--root", type=Path, help="folder that the split's paths start from")
    parser.add_argument("--part", default="test", help="train, val or test")
    parser.add_argument("--template", default="a photo of a {}.")
    parser.add_argument("--flickr8k", type=Path, help="folder with captions.txt and images/")
    options = parser.parse_args()
    model = Model(options.model)
    if options.split:
        root = options.root or options.split.parent
        zero_shot(model, options.split, root, options.template, options.part)
    if options.flickr8k:
        for part in ("dev", "test"):
            retrieval(model, options.flickr8k / "captions.txt", options.flickr8k / "images", part)


if __name__ == "__main__":
    main()
