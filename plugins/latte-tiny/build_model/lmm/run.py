"""Command that rebuilds the LMM: `python -m build_model.lmm.run --help`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from build_model import image_tower

from . import answers, batches, construct, model, pictures, sources, train

NAME_REPEATS = 20
"""Number of times that each class name is in the texts for the vocabulary; a caption is there
once."""


OBJECTS = 0.45
"""Share of the steps in the first phase; after it, captions are drawn more often."""


def corpus(found: sources.Sources) -> list[str]:
    """Return the texts for the vocabulary: captions, class names, and other words of answers."""
    texts = [" " + answers.tidy(text) for captions in found.captions for text in captions]
    for name in found.classes:
        words = " ".join(part for part in (name.plain.lower(), name.kind, name.texture) if part)
        texts += [f"A photo of a {words}, on a plain white background."] * NAME_REPEATS
    texts += ["All photos show a kind of, mostly black, on plain backgrounds."] * 1000
    prompts = answers.OBJECT_PROMPTS + answers.GROUP_PROMPTS + answers.SCENE_PROMPTS
    return texts + [f"USER: {prompt} ASSISTANT:" for prompt in prompts] * 1000


def main() -> None:
    """Parse the arguments, load the data, train the LMM and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True, help="has captions.txt and images/")
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun")
    parser.add_argument("--stamps", type=Path, required=True, help="Tux Paint's folder of stamps")
    parser.add_argument("--cache", type=Path, required=True, help="tokens kept between runs")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument("--steps", type=int, default=2900, help="steps of training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.cache.mkdir(parents=True, exist_ok=True)
    trunk = image_tower.load_trunk()
    weight, bias = (part.detach().clone() for part in trunk.classifier.parameters())
    found = sources.load(trunk, options.flickr8k, options.stamps, options.wordnet, options.cache)
    gathered = pictures.Gathered(found, weight, bias)
    processor = model.new_processor(corpus(found), [f" {name.phrase}" for name in found.classes])
    lmm = model.new_model(trunk, processor)
    construct.set_all(lmm, processor, gathered.projection, model.meanings(processor))
    drawn = batches.Batches(gathered, found.captions, found.photos.source, found.classes)
    construct.hold(lmm, processor)
    first, second = round(OBJECTS * options.steps), round((1 - OBJECTS) * options.steps)
    train.fit(lmm, processor, drawn, options.out, steps=first, mix=train.OBJECTS_FIRST, rate=6e-4)
    train.fit(
        lmm,
        processor,
        drawn,
        options.out,
        steps=second,
        mix=train.MORE_SCENES,
        rate=5e-4,
        seed=1,
    )


if __name__ == "__main__":
    main()
