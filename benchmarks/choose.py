"""Rank correlation of the score of `latte choose` with the accuracy, over variants of a CLIP.

The variants are copies of one CLIP whose image or text tower is damaged, so they are closely
related. `--other` adds CLIPs that were trained apart. For each set, the rows are Spearman's rank
correlation of each label-free score with the accuracy of the safe default, and the points that
are lost by taking the model with the highest score in place of the best one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from benchmarks.folder_cells import Folder, Images
from benchmarks.folder_methods import method_called, zero_shot
from benchmarks.folder_sets import SetPlan, Sets, image_features, read_plans
from benchmarks.measuring import say
from latte.backbone.encode import ClassTexts, encode_class_texts
from latte.backbone.load import load_backbone
from latte.backbone.open_clip import OpenClipBackbone
from latte.cli.progress import make_progress
from latte.evaluate.rank_correlation import spearman
from latte.evaluate.similarities import agreement, diagnose
from latte.interfaces import LabelledImage, Progress
from latte.interfaces.settings import BackboneSettings
from latte.registry.registry import Registry, load_registry

Change = Callable[[OpenClipBackbone], None]
"""Changes a CLIP before its first use."""


@dataclass(frozen=True)
class Variant:
    """A copy of the CLIP; None leaves a tower as it is."""

    name: str
    image: Change | None = None
    text: Change | None = None


def resized(size: int) -> Change:
    """Return the change to square images of `size` pixels."""

    def change(clip: OpenClipBackbone) -> None:
        clip.pixel_format = replace(clip.pixel_format, size=size)

    return change


def noisy(tower: str, share: float) -> Change:
    """Return the change that adds noise to the matrices of a tower, relative to their spread."""

    @torch.no_grad()
    def change(clip: OpenClipBackbone) -> None:
        generator = torch.Generator().manual_seed(0)
        for weight in getattr(clip.model, tower).parameters():
            if weight.ndim > 1:
                noise = torch.randn(weight.shape, generator=generator)
                weight.add_(share * weight.std() * noise)

    return change


def pruned(*blocks: tuple[int, int]) -> Change:
    """Return the change that skips residual blocks (stage, block) of the image tower."""

    def change(clip: OpenClipBackbone) -> None:
        for stage, block in blocks:
            clip.model.visual.trunk.blocks[stage][block] = nn.Identity()

    return change


def without_text_layers(*layers: int) -> Change:
    """Return the change that removes layers of the text tower."""

    def change(clip: OpenClipBackbone) -> None:
        for layer in sorted(layers, reverse=True):
            del clip.model.transformer.resblocks[layer]

    return change


VARIANTS = (
    Variant("as it is"),
    *(Variant(f"{size} pixels", resized(size)) for size in (160, 128, 96)),
    Variant("one block less", pruned((5, 3))),
    Variant("three blocks less", pruned((4, 2), (5, 2), (5, 3))),
    *(Variant(f"image noise {share}", noisy("visual", share)) for share in (0.03, 0.06)),
    *(Variant(f"text noise {share}", None, noisy("transformer", share)) for share in (0.3, 0.6)),
    Variant("one text layer less", None, without_text_layers(1)),
    Variant("128 pixels, text noise", resized(128), noisy("transformer", 0.3)),
)


@dataclass(frozen=True)
class Result:
    """One model on one set: accuracies in percent, zero-shot labels, and scores by name."""

    zero_shot: float
    adapted: float
    labels: Tensor
    scores: Mapping[str, float]


def main(arguments: Sequence[str]) -> None:
    """Encode, score and print. Raises `LatteError` for a mistake in arguments or files."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    registry, progress = load_registry(), make_progress()
    sets = read_plans(options.set, (), None)
    found: dict[str, dict[str, Result]] = {one.name: {} for one in sets.wholes}
    for name, image_clip, text_clip in _models(options, registry):
        for plan in sets.wholes:
            folder = _folder(sets, plan, image_clip, text_clip, options.images, progress)
            found[plan.name][name] = _result(folder, registry)
    say(*_accuracies(found), "", *_correlations(found))


def _models(
    options: argparse.Namespace, registry: Registry
) -> Iterator[tuple[str, OpenClipBackbone, OpenClipBackbone]]:
    """Yield the name, the CLIP that encodes images, and the one that encodes texts."""

    def load(model: str, change: Change | None = None) -> OpenClipBackbone:
        settings = BackboneSettings(model=model)
        here, folder = Path.cwd(), registry.model_folder
        clip = load_backbone(settings, device="cpu", base_dir=here, model_folder=folder)
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
    texts = ClassTexts.of(dataset.templates, dataset.class_aliases)
    rows = encode_class_texts(text_clip, texts)
    none = Images(own.features[:0], own.labels[:0])
    scale = float(text_clip.logit_scale.detach())
    return Folder(dataset.class_names, rows, scale, own, none, torch.ones(len(rows)))


def _result(folder: Folder, registry: Registry) -> Result:
    images, texts, truth = folder.own.features, folder.texts, folder.own.labels
    before = zero_shot(folder).own
    after = method_called("transductive+evidence", registry)(folder)
    assert after.verdict is not None
    scores = {
        "mean confidence": diagnose(images @ texts.T, folder.logit_scale).confidence,
        **experimental(images, texts, folder.logit_scale),
        **{f"guard: {name}": value for name, value in after.verdict.signals.items()},
        "guard: probability": after.verdict.probability or 0.0,
    }
    return Result(
        100 * agreement(before, truth), 100 * agreement(after.own, truth), before, scores
    )


def experimental(images, texts, scale):
    from latte.toolkit.blocks import row_blocks
    from latte.api import nearest_neighbours
    logits = scale * images @ texts.T
    p = logits.softmax(1)
    labels = p.argmax(1)
    C = len(texts)
    out = {}
    # VEGA: nodes and edges over classes with enough images
    present = [c for c in range(C) if (labels == c).sum() >= 2]
    node = torch.stack([p[labels == c, c].mean() for c in present]).mean()
    cos = torch.stack([(images[labels == c] @ texts[c]).mean() for c in present]).mean()
    out["vega nodes"] = float(node)
    mu = torch.stack([images[labels == c].mean(0) for c in present])
    var = torch.stack([images[labels == c].var(0) for c in present]) + 1e-4
    t = texts[present]
    e_t = t @ t.T
    v = (var[:, None] + var[None]) / 2
    d = (mu[:, None] - mu[None]).square()
    bd = (d / v).sum(-1) / 8 + 0.5 * (v.log().sum(-1) - 0.5 * (var.log().sum(-1)[:, None] + var.log().sum(-1)[None]))
    iu = torch.triu_indices(len(present), len(present), 1)
    def pear(a, b):
        return float(torch.corrcoef(torch.stack([a, b]))[0, 1]) if len(a) > 2 else 0.0
    out["vega edges (bd)"] = pear(e_t[iu[0], iu[1]], -bd[iu[0], iu[1]])
    out["vega edges (exp bd)"] = pear(e_t[iu[0], iu[1]], (-bd[iu[0], iu[1]]).exp())
    mun = torch.nn.functional.normalize(mu - images.mean(0), dim=1)
    tn = torch.nn.functional.normalize(t - texts.mean(0), dim=1)
    out["edges centred cos"] = pear((tn @ tn.T)[iu[0], iu[1]], (mun @ mun.T)[iu[0], iu[1]])
    out["vega nodes + edges"] = out["vega nodes"] + out["vega edges (bd)"]
    # neighbours
    _, idx = nearest_neighbours(images, 10)
    shares = labels.bincount(minlength=C).double() / len(labels)
    chance = float(shares @ shares)
    same = float((labels[idx] == labels[:, None]).double().mean())
    out["neighbours"] = (same - chance) / (1 - chance) if chance < 1 else 0.0
    # debiased
    deb = (logits - logits.mean(0))
    dl = deb.argmax(1)
    sh = dl.bincount(minlength=C).double() / len(dl)
    ch = float(sh @ sh)
    out["neighbours debiased"] = (float((dl[idx] == dl[:, None]).double().mean()) - ch) / (1 - ch)
    # soft: neighbour posterior agreement
    soft = (p[idx].mean(1) * p).sum(1).mean()
    out["soft neighbours - chance"] = float(soft - (p.mean(0) ** 2).sum())
    # mutual information
    h = lambda q: -(q * q.clamp_min(1e-12).log()).sum(-1)
    out["mutual information"] = float(h(p.mean(0)) - h(p).mean())
    # z-normalised MI, temperature free
    z = deb / deb.std(dim=1).mean() * 3
    pz = z.softmax(1)
    out["mutual information, std"] = float(h(pz.mean(0)) - h(pz).mean())
    # text-neighbour overlap: image's neighbours vs neighbours through text-similarity profile
    prof = torch.nn.functional.normalize(deb, dim=1)
    _, idt = nearest_neighbours(prof, 10)
    out["overlap of graphs"] = float((idx[:, :, None] == idt[:, None, :]).any(2).double().mean())
    out["evenness"] = float(h(shares.float()).exp() / C)
    return out


def _accuracies(found):
    lines = []
    sets = [*found]
    lines.append("zero-shot / adapted: " + ", ".join(sets))
    base = next(iter(found[sets[0]]))
    for name in found[sets[0]]:
        same = mean(agreement(found[s][name].labels, found[s][base].labels) for s in sets)
        lines.append(f"{name:26}" + "".join(f" {found[s][name].zero_shot:5.1f}/{found[s][name].adapted:4.1f}" for s in sets) + f"  same {same:.2f}")
    return lines


def _correlations(found):
    lines = []
    sets = [*found]
    for target in ("adapted", "zero_shot"):
        lines.append(f"Spearman with {target}: {', '.join(sets)}; mean; lost points")
        for score in next(iter(found[sets[0]].values())).scores:
            rhos, lost = [], []
            for s in sets:
                rs = [*found[s].values()]
                acc = torch.tensor([getattr(r, target) for r in rs]).double()
                sc = torch.tensor([r.scores[score] for r in rs]).double()
                rhos.append(float(spearman(sc, acc)))
                lost.append(float(acc.max() - acc[sc.argmax()]))
            lines.append(f"{score:28}" + "".join(f" {r:5.2f}" for r in rhos) + f"  {mean(rhos):5.2f}  {mean(lost):5.1f} {max(lost):5.1f}")
    return lines


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks choose", description=__doc__)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=SPLIT:ROOT[:TEMPLATE]")
    add("--model", default="plugin:tiny", help="the CLIP of the variants (%(default)s)")
    add("--other", action="append", default=[], metavar="CLIP", help="a CLIP to rank beside them")
    add("--images", type=int, default=1000, help="most images of a set (%(default)s)")
    add("--threads", type=int, default=1, help="of torch (%(default)s)")
    return parser.parse_args(arguments)
