"""Built-in components, which are declared and written like components of a plugin.

Every module in this package imports only `latte.api`, `latte.api.sources` and this package. To
write your own component, copy a class into a plugin; `latteclip` is a good first module to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from latte.api import ComponentSpec, Kind, hookimpl

_DESCRIPTIONS = {
    "class": "the class template of an image's pseudo-label",
    "image": "a text about one image",
    "group": "a text about several images of one zero-shot label",
}
_GATES = {
    "refusal": "holds back answers such as `I'm sorry, I cannot see the image`",
    "length": "holds back texts of too few or too many words",
    "repetition": "holds back texts that loop, and one text for too many images",
}
"""Summary of each gate."""
_GROUPS = {
    "all": ("All", "every parameter of both towers, and the logit scale"),
    "visual_layer_norms": ("VisualLayerNorms", "layer norms of the image tower"),
    "text_layer_norms": ("TextLayerNorms", "layer norms of the text tower"),
    "projections": ("Projections", "projections of both towers into the joint space"),
    "none": ("Nothing", "no parameter; only prototypes change"),
}
"""Class and summary of each group of parameters that can be trained."""
_OTHERS = (
    ComponentSpec(
        kind="backbone",
        name="open_clip",
        target="latte.backbone.component:OpenClip",
        summary="a CLIP that open_clip loads; the default, so that `use` may be left out",
    ),
    ComponentSpec(
        kind="dataset",
        name="folder",
        target="latte.components.datasets.local:ImageFolderDataset",
        summary="every image below a folder; class names from a file, a list or sub-folders",
    ),
    ComponentSpec(
        kind="dataset",
        name="list",
        target="latte.components.datasets.local:ListDataset",
        summary="images named in a CSV or JSONL file",
    ),
    ComponentSpec(
        kind="dataset",
        name="coop",
        target="latte.components.datasets.local:CoopDataset",
        summary="images and splits of a CoOp split_zhou_*.json file",
    ),
    ComponentSpec(
        kind="augmentation",
        name="random-crops",
        target="latte.data.augmentation:RandomCrops",
        summary="random crops with changed colours, as in LatteCLIP's released code; the default",
    ),
    ComponentSpec(
        kind="describer",
        name="phrases",
        target="latte.components.phrases:PhraseDescriber",
        summary="one sentence from phrases ranked by the frozen CLIP; needs no LMM",
    ),
    ComponentSpec(
        kind="labeler",
        name="frozen",
        target="latte.components.latteclip:FrozenLabeler",
        summary="the zero-shot class of each image, constant",
    ),
    ComponentSpec(
        kind="labeler",
        name="current",
        target="latte.components.latteclip:CurrentLabeler",
        summary="the class of the nearest prototype in each step",
    ),
    ComponentSpec(
        kind="prototypes",
        name="templates",
        target="latte.components.prototypes:TemplatePrototypes",
        summary="text features of the class templates",
    ),
    ComponentSpec(
        kind="prototypes",
        name="momentum",
        target="latte.components.latteclip:MomentumPrototypes",
        summary="LatteCLIP: prototypes that follow mixed descriptions with momentum",
    ),
    ComponentSpec(
        kind="prototypes",
        name="from-labeler",
        target="latte.api:LabelerPrototypes",
        summary="the classifier that a labeler returns in each epoch",
    ),
    ComponentSpec(
        kind="prototypes",
        name="re-estimated",
        target="latte.components.prototypes:ReEstimatedPrototypes",
        summary="from descriptions and frozen image features; needs no training",
    ),
    ComponentSpec(
        kind="loss",
        name="contrastive",
        target="latte.components.latteclip:ContrastiveLoss",
        summary="symmetric contrastive loss between images and their targets",
    ),
    ComponentSpec(
        kind="loss",
        name="sigmoid",
        target="latte.components.losses:SigmoidLoss",
        summary="pairwise loss of sigmoid models, such as SigLIP",
    ),
    ComponentSpec(
        kind="trainable",
        name="last_blocks",
        target="latte.components.trainable:LastBlocks",
        summary="the last blocks of both towers, and the projections",
    ),
    ComponentSpec(
        kind="trainable",
        name="lora",
        target="latte.components.trainable:Lora",
        summary="low-rank updates of linear layers, merged after training",
    ),
    ComponentSpec(
        kind="trainable",
        name="prompts",
        target="latte.components.trainable:Prompts",
        summary="embeddings of some words of the texts",
    ),
    ComponentSpec(
        kind="reporter",
        name="html",
        target="latte.components.reporters:HtmlReporter",
        summary="one self-contained page: accuracy, curves, classes, gallery",
    ),
    ComponentSpec(
        kind="reporter",
        name="model-card",
        target="latte.components.reporters:ModelCardReporter",
        summary="README.md beside the exported model: data, method, numbers, limits",
    ),
)


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the declarations of the built-in components, without importing them."""
    kinds = get_args(Kind)
    return sorted([*_tables(), *_OTHERS], key=lambda spec: kinds.index(spec.kind))


def _tables() -> Iterator[ComponentSpec]:
    for name, summary in _DESCRIPTIONS.items():
        place = f"latte.api:{name.capitalize()}"
        yield ComponentSpec("description", name, f"{place}Description", summary)
    for name, summary in _GATES.items():
        place = f"latte.components.gates:{name.capitalize()}"
        yield ComponentSpec("gate", name, f"{place}Gate", summary)
    for name, (group, summary) in _GROUPS.items():
        yield ComponentSpec("trainable", name, f"latte.components.trainable:{group}", summary)
