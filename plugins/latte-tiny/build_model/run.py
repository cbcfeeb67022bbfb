"""Remake the shipped files: `python -m build_model.run --help` from the package's folder.

Needs the packages of `requirements.txt`, WordNet's database folder, and a data folder each for
Flickr8k (training) and Caltech-101 (demo images only; no training step reads them).
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.transformer import TextTransformer
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from torch import Tensor, nn

from . import corpus, demo_images, export, image_tower, projection, student, teacher

NAME_TEMPLATES = corpus.TEMPLATES[:6]


def text_tower(
    wordnet: Path, captions: dict[str, list[str]], cache: Path, steps: int, seconds: float
) -> TextTransformer:
    """Distil the text tower, or take it from the cache."""
    tower = student.new_tower()
    kept = cache / "tower.pt"
    if kept.exists():
        tower.load_state_dict(torch.load(kept, weights_only=True))
        return tower.eval()
    texts = corpus.build_corpus(wordnet, captions)
    targets = teacher.cached(texts, cache / "teacher.pt")
    targets = F.normalize(targets - targets.mean(0), dim=-1)
    spelt, source = corpus.underscored(texts)
    student.start_from_words(tower)
    student.distil(
        tower, texts + spelt, torch.cat([targets, targets[source]]), steps=steps, seconds=seconds
    )
    torch.save(tower.state_dict(), kept)
    return tower


def pooled(tower: TextTransformer, texts: list[str]) -> Tensor:
    """Text vectors before the text projection, so that this projection can still be trained."""
    matrix, tower.text_projection = tower.text_projection, None
    try:
        width, tower.output_dim = tower.output_dim, tower.width
        return student.encode(tower, texts)
    finally:
        tower.text_projection, tower.output_dim = matrix, width


def text_bank(
    tower: TextTransformer, captions: dict[str, list[str]], names: list[str]
) -> projection.TextBank:
    """Pooled captions of `names` and pooled ImageNet class names in several templates."""
    sentences = [text for name in names for text in captions[name][:5]]
    labelled = [t.format(name) for t in NAME_TEMPLATES for name in IMAGENET_CLASSNAMES]
    return projection.TextBank(
        captions=pooled(tower, sentences).view(len(names), 5, -1),
        names=pooled(tower, labelled).view(len(NAME_TEMPLATES), len(IMAGENET_CLASSNAMES), -1),
    )


def join(
    trunk: nn.Module,
    tower: TextTransformer,
    flickr8k: Path,
    captions: dict[str, list[str]],
    cache: Path,
    steps: int,
) -> projection.Joint:
    """Train the joint space on the training part of Flickr8k."""
    names = corpus.caption_split(captions)["train"]
    paths = [flickr8k / "images" / name for name in names]
    views = image_tower.cached_views(trunk, paths, cache / "views192_train.pt")
    head = {key: value.detach() for key, value in trunk.classifier.state_dict().items()}
    bank = text_bank(tower, captions, names)
    return projection.train(views, bank, head, tower.text_projection.detach(), steps=steps)


def main() -> None:
    """Parse arguments and build what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, help="folder with captions.txt and images/")
    parser.add_argument("--wordnet", type=Path, help="folder with data.noun")
    parser.add_argument("--caltech101", type=Path, help="folder with split.json and the images")
    parser.add_argument("--out", type=Path, required=True, help="gets clip/ and images/")
    parser.add_argument("--cache", type=Path, required=True, help="features kept between runs")
    parser.add_argument("--text-steps", type=int, default=1600)
    parser.add_argument("--text-seconds", type=float, default=math.inf)
    parser.add_argument("--joint-steps", type=int, default=1000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.caltech101:
        root = options.caltech101 / "101_ObjectCategories"
        demo_images.build(options.caltech101 / "split.json", root, options.out / "images")
    if options.flickr8k and options.wordnet:
        captions = corpus.read_captions(options.flickr8k / "captions.txt")
        trunk = image_tower.load_trunk()
        tower = text_tower(
            options.wordnet, captions, options.cache, options.text_steps, options.text_seconds
        )
        joint = join(trunk, tower, options.flickr8k, captions, options.cache, options.joint_steps)
        export.write(options.out / "clip", export.merged_state(trunk, tower, joint))


if __name__ == "__main__":
    main()
