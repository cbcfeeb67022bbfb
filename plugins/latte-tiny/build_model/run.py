"""Command that rebuilds the shipped files: `python -m build_model.run --help`.

Run it in the package's folder. It needs the packages of `requirements.txt`, WordNet's database
folder, Tux Paint's stamps, Flickr8k for training, and Caltech-101 for the demo images. Training
does not use Caltech-101.
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

from . import corpus, demo_images, export, image_tower, projection, stamps, student, teacher

NAME_TEMPLATES = corpus.TEMPLATES[:6]


def text_tower(
    wordnet: Path, captions: dict[str, list[str]], cache: Path, steps: int, seconds: float
) -> TextTransformer:
    """Return the distilled text tower, from the cache if it exists there."""
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
    """Return text vectors before the text projection, which is trained later."""
    matrix, tower.text_projection = tower.text_projection, None
    try:
        width, tower.output_dim = tower.output_dim, tower.width
        return student.encode(tower, texts)
    finally:
        tower.text_projection, tower.output_dim = matrix, width


def photo_pairs(
    trunk: nn.Module, tower: TextTransformer, flickr8k: Path, cache: Path
) -> projection.Pairs:
    """Return the training part of Flickr8k with five captions per image."""
    captions = corpus.read_captions(flickr8k / "captions.txt")
    names = corpus.caption_split(captions)["train"]
    paths = [flickr8k / "images" / name for name in names]
    sentences = [captions[name][which] for which in range(5) for name in names]
    return projection.Pairs(
        views=image_tower.cached_views(trunk, paths, cache / "views192_train.pt"),
        texts=pooled(tower, sentences).view(5, len(names), -1),
        groups=torch.arange(len(names)),
    )


def stamp_pairs(
    trunk: nn.Module, tower: TextTransformer, folder: Path, cache: Path
) -> projection.Pairs:
    """Return the stamps (cut-out pictures) with their names in several templates."""
    found = stamps.find_stamps(folder)
    group_of: dict[str, int] = {}
    groups = [group_of.setdefault(stamp.name, len(group_of)) for stamp in found]
    return projection.Pairs(
        views=stamps.cached_views(trunk, found, cache / "stamps192.pt"),
        texts=in_templates(tower, [stamp.name for stamp in found]),
        groups=torch.tensor(groups),
    )


def in_templates(tower: TextTransformer, names: list[str]) -> Tensor:
    """Return pooled text vectors (templates, N, W) of names in several templates."""
    sentences = [template.format(name) for template in NAME_TEMPLATES for name in names]
    return pooled(tower, sentences).view(len(NAME_TEMPLATES), len(names), -1)


def main() -> None:
    """Parse the arguments and build the parts that they select."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, help="folder with captions.txt and images/")
    parser.add_argument("--wordnet", type=Path, help="folder with data.noun")
    parser.add_argument("--stamps", type=Path, help="Tux Paint's folder of stamps")
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
    if options.flickr8k and options.wordnet and options.stamps:
        build_clip(options)


def build_clip(options: argparse.Namespace) -> None:
    """Distil the text tower, train the projections and write the folder `clip`."""
    captions = corpus.read_captions(options.flickr8k / "captions.txt")
    trunk = image_tower.load_trunk()
    tower = text_tower(
        options.wordnet, captions, options.cache, options.text_steps, options.text_seconds
    )
    joint = projection.train(
        photo_pairs(trunk, tower, options.flickr8k, options.cache),
        stamp_pairs(trunk, tower, options.stamps, options.cache),
        in_templates(tower, list(IMAGENET_CLASSNAMES)),
        {key: value.detach() for key, value in trunk.classifier.state_dict().items()},
        tower.text_projection.detach(),
        steps=options.joint_steps,
    )
    export.write(options.out / "clip", export.merged_state(trunk, tower, joint))


if __name__ == "__main__":
    main()
