"""AUROC of scores for images of unknown classes: half of a labelled set's names are removed.

The set has CoOp's format. Test images of the remaining classes are known, all others are unknown.
AUROC is the probability that a known image scores higher than an unknown one; 0.5 is chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from latte_benchmarks.folder_cells import Images
from torch import Tensor

from benchmarks.folder_sets import SetPlan, Sets, encoded_classes, image_features, load_clip
from benchmarks.measuring import say
from benchmarks.rank_correlation import separation
from latte.interfaces.progress import SilentProgress
from latte.registry.registry import load_registry

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def main(arguments: Sequence[str]) -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks unknown", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the images")
    parser.add_argument("--split", type=Path, required=True, help="split file, as CoOp's are")
    parser.add_argument("--model", default="plugin:tiny", help="CLIP (%(default)s)")
    parser.add_argument("--draws", type=int, default=10, help="halves of the classes (%(default)s)")
    options = parser.parse_args(arguments)
    clip = load_clip(options.model, load_registry())
    plan = SetPlan("set", options.split, options.root)
    dataset, _, test = Sets((plan,), (), None).read(plan)
    images = image_features(clip, test, SilentProgress(), "images")
    texts, scale = encoded_classes(clip, dataset), float(clip.logit_scale.detach())
    draws = [_draw(images, texts, scale, seed) for seed in range(options.draws)]
    say(f"{len(images)} images, {len(texts)} classes, {options.draws} halves of them")
    say("AUROC of scores, and the share of images whose probability is below a threshold")
    say(f"{'':<28}{'mean':>8}{'sd':>8}")
    for name in draws[0]:
        separations = torch.tensor([draw[name] for draw in draws])
        say(f"{name:<28}{float(separations.mean()):>8.3f}{float(separations.std()):>8.3f}")


def _draw(images: Images, texts: Tensor, scale: float, seed: int) -> Mapping[str, float]:
    """Return each score's AUROC if half of the classes is known, and the effect of thresholds."""
    generator = torch.Generator().manual_seed(seed)
    listed_classes = (
        torch.randperm(len(texts), generator=generator)[: len(texts) // 2].sort().values
    )
    is_listed = torch.isin(images.labels, listed_classes)
    similarities = images.features @ texts[listed_classes].T
    best = similarities.topk(2, dim=1).values
    probability = (scale * similarities).softmax(dim=1).amax(dim=1)
    scores = {
        "probability (score_1)": probability,
        "cosine similarity": best[:, 0],
        "cosine, centred by class": (similarities - similarities.mean(dim=0)).amax(dim=1),
        "margin to the second": best[:, 0] - best[:, 1],
    }
    separations = {
        name: separation(values[is_listed], values[~is_listed]) for name, values in scores.items()
    }
    for below in THRESHOLDS:
        weak = (probability < below).float()
        separations[f"below {below}, of known"] = float(weak[is_listed].mean())
        separations[f"below {below}, of unknown"] = float(weak[~is_listed].mean())
    return separations
