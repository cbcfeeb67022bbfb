"""Measure the agreement of the LMM's sentences with its image tower, without labels.

On pictures that were not used for training, the class in a sentence is compared with the prediction
of the tower's ImageNet head, and colours and background with measurements of the pixels. See
`python -m build_model.lmm.agreement --help`.
"""

from __future__ import annotations

import argparse
import random
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from build_model import corpus, image_tower
from build_model.lmm_measure import PROMPT, Describer, say

from . import answers, names, sources, views
from .looks import COLOURS, Looks, look
from .views import TOKEN_SCALE, Views

BATCH = 32
COLOUR = re.compile(rf"\b({'|'.join(COLOURS)})\b")
GROUND = re.compile(r"on an? (plain )?(\w+) background")


@dataclass(frozen=True)
class Said:
    """Content of a sentence: index of its class (None if unknown), and words for the appearance."""

    label: int | None
    colours: tuple[str, ...]
    ground: str | None
    plain: bool


def read(sentence: str, classes: list[names.Name]) -> Said:
    """Parse a sentence about an object."""
    start = sentence.partition(", on a")[0]
    ground = GROUND.search(sentence)
    rest = start.removeprefix(answers.OBJECT).strip()
    found = [row for row, name in enumerate(classes) if _starts_with(rest, name.phrase)]
    longest = max(found, key=lambda row: len(classes[row].phrase), default=None)
    looks = rest[len(classes[longest].phrase) :] if longest is not None else rest
    return Said(
        longest,
        tuple(COLOUR.findall(looks)),
        ground.group(2) if ground else None,
        bool(ground and ground.group(1)),
    )


def _starts_with(text: str, phrase: str) -> bool:
    return text == phrase or text.startswith((phrase + ",", phrase + " "))


def opinions(found: Views, trunk: nn.Module) -> Tensor:
    """Return the class probabilities (N, 1000) of the ImageNet head."""
    weight, bias = (part.detach() for part in trunk.classifier.parameters())  # type: ignore[union-attr, operator]
    pooled = torch.cat([part.float().mean(1) for part in found.tokens.split(256)]) / TOKEN_SCALE
    return (pooled @ weight.T + bias).softmax(-1)


def report(title: str, sentences: list[str], opinion: Tensor, looks: list[Looks]) -> None:
    """Print how often sentences agree with the ImageNet head and the pixels, in per cent."""
    classes = names.plain_names()
    said = [read(sentence, classes) for sentence in sentences]
    best = opinion.max(1)
    # Two classes may have the same name.
    same = torch.tensor(
        [
            one.label is not None and classes[one.label].phrase == classes[int(head)].phrase
            for one, head in zip(said, best.indices, strict=True)
        ]
    )
    people = sum(one.label == names.PEOPLE for one in said)
    sure = best.values >= answers.SURE
    say(
        f"{title}: {len(said)} views; the head's first class {_percent(same)}, where it is sure "
        f"({int(sure.sum())}) {_percent(same[sure])}; people said of {people}"
    )
    pairs = list(zip(said, looks, strict=True))
    colours = torch.tensor([bool(set(one.colours) & set(seen.colours)) for one, seen in pairs])
    ground = torch.tensor([one.ground == seen.ground for one, seen in pairs])
    plain = torch.tensor([one.plain == seen.plain for one, seen in pairs])
    say(
        f"  one of the measured colours {_percent(colours)}, the ground's colour "
        f"{_percent(ground)}, plain or not {_percent(plain)}"
    )


def _percent(right: Tensor) -> str:
    return f"{100 * float(right.float().mean()):.1f}"


def main() -> None:
    """Parse the arguments and print the results for Flickr8k photos and for held-out stamps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the LMM")
    parser.add_argument("--flickr8k", type=Path, required=True, help="has captions.txt and images/")
    parser.add_argument("--stamps", type=Path, required=True, help="Tux Paint's folder of stamps")
    parser.add_argument("--cache", type=Path, required=True, help="tokens kept between runs")
    parser.add_argument("--views", type=int, default=300, help="so many of each, evenly spaced")
    parser.add_argument("--show", type=int, default=0, help="print so many sentences of each")
    options = parser.parse_args()
    trunk = image_tower.load_trunk()
    describer = Describer(options.model)
    dev = dev_views(trunk, options.flickr8k, options.cache)
    _, cutouts = sources.stamp_views(trunk, options.stamps, options.cache)
    held = cutouts.only(cutouts.source % sources.HELD_OUT == 0)
    for title, found in (("Flickr8k dev", dev), ("held-out stamps", held)):
        kept = torch.zeros(len(found.tokens), dtype=torch.bool)
        kept[:: max(1, len(found.tokens) // options.views)] = True
        some = found.only(kept)
        images = [Image.fromarray(pixels) for pixels in some.pixels]
        sentences: list[str] = []
        for start in range(0, len(images), BATCH):
            sentences += describer.describe(images[start : start + BATCH], PROMPT)
        report(title, sentences, opinions(some, trunk), [look(pixels) for pixels in some.pixels])
        for sentence in sentences[:: max(1, len(sentences) // max(1, options.show))][
            : options.show
        ]:
            say(f"    {sentence}")


def dev_views(trunk: nn.Module, flickr8k: Path, cache: Path) -> Views:
    """Return views of 500 photos of Flickr8k's dev part: each whole photo, and one crop of each."""
    table = corpus.read_captions(flickr8k / "captions.txt")
    paths = [flickr8k / "images" / name for name in corpus.caption_split(table)["dev"][:500]]
    return views.collect(trunk, views.photo_pixels(paths, 1, random.Random(1)), cache / "dev.pt")


if __name__ == "__main__":
    main()
