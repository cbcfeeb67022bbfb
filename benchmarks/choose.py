"""Rank correlation of the score of `latte choose` with the accuracy, over variants of a CLIP.

The variants are copies of one CLIP with a damaged image or text tower, so they are closely
related. `--other` adds CLIPs that were trained separately. The tables have Spearman's rank
correlation of each label-free score with the accuracy on the same images, and the accuracy in
points by which the model with the highest score is worse than the best model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.folder_cells import Folder, Images
from benchmarks.folder_methods import method_called, zero_shot
from benchmarks.folder_sets import (
    SetPlan,
    Sets,
    encoded_classes,
    image_features,
    load_clip,
    positive,
    set_parser,
    sets_of,
)
from benchmarks.measuring import say
from benchmarks.rank_correlation import spearman
from latte.backbone.open_clip import OpenClipBackbone
from latte.cli.progress import make_progress
from latte.evaluate.similarities import agreement, diagnose
from latte.interfaces import LabelledImage, Progress
from latte.registry.registry import Registry, load_registry
from latte.run.comparing import model_score

Change = Callable[[OpenClipBackbone], None]
"""Function that changes a CLIP before its first use."""
_FEWEST_NODES = 3
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Variant:
    """A copy of the CLIP with a change per tower; None leaves a tower unchanged."""

    name: str
    image: Change | None = None
    text: Change | None = None


def resize(clip: OpenClipBackbone, size: int) -> None:
    """Change a CLIP to square images of `size` pixels."""
    clip.pixel_format = replace(clip.pixel_format, size=size)


@torch.no_grad()
def add_noise(clip: OpenClipBackbone, tower: str, share: float) -> None:
    """Add noise to a tower's matrices, relative to their deviation."""
    generator = torch.Generator().manual_seed(0)
    for weight in getattr(clip.model, tower).parameters():
        if weight.ndim > 1:
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(share * weight.std() * noise)


def prune(clip: OpenClipBackbone, *blocks: tuple[int, int]) -> None:
    """Skip residual blocks of the image tower, each (stage, block)."""
    for stage, block in blocks:
        clip.model.visual.trunk.blocks[stage][block] = nn.Identity()


def _changed(change: Callable[..., None], *arguments: Any) -> Change:
    return lambda clip: change(clip, *arguments)


def _without_last_text_layer(clip: OpenClipBackbone) -> None:
    del clip.model.transformer.resblocks[1]


_TEXT_NOISE = _changed(add_noise, "transformer", 0.3)
VARIANTS = (
    Variant("as it is"),
    *(Variant(f"{size} pixels", _changed(resize, size)) for size in (160, 128, 96)),
    Variant("one block less", _changed(prune, (5, 3))),
    Variant("three blocks less", _changed(prune, (4, 2), (5, 2), (5, 3))),
    *(Variant(f"image noise {one}", _changed(add_noise, "visual", one)) for one in (0.03, 0.06)),
    Variant("text noise 0.3", None, _TEXT_NOISE),
    Variant("text noise 0.6", None, _changed(add_noise, "transformer", 0.6)),
    Variant("one text layer less", None, _without_last_text_layer),
    Variant("128 pixels, text noise", _changed(resize, 128), _TEXT_NOISE),
)


@dataclass(frozen=True)
class Result:
    """One model on one set: accuracies in percent, zero-shot labels, and scores by name."""

    zero_shot: float
    adapted: float
    labels: Tensor
    scores: Mapping[str, float]


Found = dict[str, dict[str, Result]]
"""Results by set and model."""


def main(arguments: Sequence[str]) -> None:
    """Encode, score and print. Raises `LatteError` for a mistake in arguments or files."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    registry, progress = load_registry(), make_progress()
    sets = sets_of(options)
    found: Found = {one.name: {} for one in sets.wholes}
    for name, image_clip, text_clip in _models(options, registry):
        for plan in sets.wholes:
            folder = _folder(sets, plan, image_clip, text_clip, options.images, progress)
            found[plan.name][name] = _result(folder, registry)
    say(*accuracy_lines(found))
    say("", *correlation_lines(found, "adapted"), "", *correlation_lines(found, "zero_shot"))


def _models(
    options: argparse.Namespace, registry: Registry
) -> Iterator[tuple[str, OpenClipBackbone, OpenClipBackbone]]:
    """Yield the name, the CLIP that encodes images, and the one that encodes texts."""

    def load(model: str, change: Change | None = None) -> OpenClipBackbone:
        clip = load_clip(model, registry)
        if change is not None:
            change(clip)
        return clip

    for one in VARIANTS:
        yield one.name, load(options.model, one.image), load(options.model, one.text)
    for model in options.other:
        clip = load(model)
        yield Path(model).name, clip, clip


def _folder(
    sets: Sets,
    plan: SetPlan,
    image_clip: OpenClipBackbone,
    text_clip: OpenClipBackbone,
    most: int,
    progress: Progress,
) -> Folder:
    """Return at most `most` random training images of a set, encoded."""
    dataset, labelled, _ = sets.read(plan)
    order = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(0))
    chosen: list[LabelledImage] = [labelled[row] for row in order[:most].tolist()]
    own = image_features(image_clip, chosen, progress, plan.name)
    rows = encoded_classes(text_clip, dataset)
    none = Images(own.features[:0], own.labels[:0])
    scale = float(text_clip.logit_scale.detach())
    return Folder(dataset.class_names, rows, scale, own, none, torch.ones(len(rows)))


def _result(folder: Folder, registry: Registry) -> Result:
    images, truth = folder.own.features, folder.own.labels
    before = zero_shot(folder).own
    after = method_called("transductive+evidence", registry)(folder)
    assert after.verdict is not None
    similarities = images @ folder.texts.T
    scores = {
        "neighbours (latte choose)": model_score(images, before),
        "mean confidence": diagnose(similarities, folder.logit_scale).confidence,
        "class graphs": class_graphs(folder, before),
        "guard: stability": after.verdict.signals["stability"],
        "guard: lead": after.verdict.signals["lead"],
        "guard: score": after.verdict.signals["score"],
    }
    return Result(100 * agreement(before, truth), 100 * agreement(after.own, truth), before, scores)


def class_graphs(folder: Folder, labels: Tensor) -> float:
    """Return the agreement of a graph of class texts with a graph of image classes, as in VEGA.

    VEGA is Ding et al. 2024, arXiv 2412.20682; this code follows the abstract and a summary, so
    details may differ. A node is a class that is the zero-shot label (N,) of at least two images.
    Node agreement is the mean probability of a class over its images. Edges are cosines in the text
    graph, and negative Bhattacharyya distances of Gaussians with diagonal covariances in the image
    graph; edge agreement is their Pearson correlation.
    """
    images, texts = folder.own.features, folder.texts
    present = (labels.bincount(minlength=len(texts)) > 1).nonzero().flatten()
    probabilities = (folder.logit_scale * images @ texts.T).softmax(dim=1)
    members = [labels == one for one in present]
    pairs = zip(members, present, strict=True)
    nodes = torch.stack([probabilities[rows, one].mean() for rows, one in pairs])
    if len(present) < _FEWEST_NODES:
        return float(nodes.mean())
    means = torch.stack([images[rows].mean(dim=0) for rows in members])
    variances = torch.stack([images[rows].var(dim=0) for rows in members]) + _LEAST_VARIANCE
    first, second = torch.triu_indices(len(present), len(present), 1)
    between = (variances[first] + variances[second]) / 2
    distance = ((means[first] - means[second]).square() / between).sum(dim=1) / 8
    logs = variances.log().sum(dim=1) / 2
    distance = distance + (between.log().sum(dim=1) - logs[first] - logs[second]) / 2
    cosines = (texts[present[first]] * texts[present[second]]).sum(dim=1)
    edges = torch.corrcoef(torch.stack([cosines, -distance]))[0, 1]
    return float(nodes.mean() + edges)


def accuracy_lines(found: Found) -> list[str]:
    """Return the accuracies of each model on each set, and its agreement with the first model."""
    results = [*found.values()]
    lines = [f"{'zero-shot/adapted':24}" + "".join(f" {name[:9]:>9}" for name in found) + "  same"]
    first = next(iter(results[0]))
    for model in results[0]:
        row = [one[model] for one in results]
        same = mean(agreement(one[model].labels, one[first].labels) for one in results)
        figures = "".join(f" {one.zero_shot:4.1f}/{one.adapted:4.1f}" for one in row)
        lines.append(f"{model[:24]:24}{figures}  {same:.2f}")
    return lines


def correlation_lines(found: Found, target: Literal["zero_shot", "adapted"]) -> list[str]:
    """Return Spearman's rho of each score on each set, its mean, and the mean points lost."""
    heading = f"rho with {target}"
    lines = [f"{heading:26}" + "".join(f" {name[:9]:>9}" for name in found) + "   mean  lost"]
    models = [*next(iter(found.values()))]
    for score in next(iter(found.values()))[models[0]].scores:
        rhos, lost = [], []
        for results in found.values():
            values = torch.tensor([results[one].scores[score] for one in models])
            reached = torch.tensor([getattr(results[one], target) for one in models])
            rhos.append(float(spearman(values, reached)))
            lost.append(float(reached.max() - reached[values.argmax()]))
        figures = "".join(f" {rho:9.2f}" for rho in rhos)
        lines.append(f"{score:26}{figures}  {mean(rhos):5.2f}  {mean(lost):4.1f}")
    return lines


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("choose", __doc__)
    add = parser.add_argument
    add("--model", default="plugin:tiny", help="the CLIP of the variants (%(default)s)")
    add("--other", action="append", default=[], metavar="CLIP", help="a CLIP to rank beside them")
    add("--images", type=positive, default=1000, help="most images of a set (%(default)s)")
    return parser.parse_args(arguments)
