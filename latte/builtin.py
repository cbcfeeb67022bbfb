"""latte's own components, declared exactly as a third party's package declares its own."""

from __future__ import annotations

from collections.abc import Iterable

from latte.data.published.facts import all_facts
from latte.registry.spec import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Built-in components; none is imported here."""
    return (
        ComponentSpec(
            kind="dataset",
            name="folder",
            target="latte.data.sources.folder:ImageFolderDataset",
            options="latte.data.options:FolderOptions",
            summary="every image below a folder; class names from a file, a list or sub-folders",
        ),
        ComponentSpec(
            kind="dataset",
            name="list",
            target="latte.data.sources.listing:ListDataset",
            options="latte.data.options:ListOptions",
            summary="images named in a CSV or JSONL file",
        ),
        ComponentSpec(
            kind="dataset",
            name="coop",
            target="latte.data.sources.coop:CoopDataset",
            options="latte.data.options:CoopOptions",
            summary="images and splits of a CoOp split_zhou_*.json file",
        ),
        *_published_datasets(),
        ComponentSpec(
            kind="describer",
            name="phrases",
            target="latte.describe.phrases:PhraseDescriber",
            options="latte.describe.options:PhraseOptions",
            summary="ranks phrases with the frozen CLIP and makes a sentence; needs no LMM",
        ),
        ComponentSpec(
            kind="description",
            name="class",
            target="latte.describe.types:ClassDescription",
            options="latte.describe.options:ClassOptions",
            summary="the template of a sample's pseudo-label",
        ),
        ComponentSpec(
            kind="description",
            name="image",
            target="latte.describe.types:ImageDescription",
            options="latte.describe.options:ImageOptions",
            summary="what one image shows",
        ),
        ComponentSpec(
            kind="description",
            name="group",
            target="latte.describe.types:GroupDescription",
            options="latte.describe.options:GroupOptions",
            summary="what several images of one frozen pseudo-label have in common",
        ),
        ComponentSpec(
            kind="gate",
            name="refusal",
            target="latte.describe.gates.refusal:RefusalGate",
            options="latte.describe.gates.options:RefusalOptions",
            summary="holds back answers such as `I'm sorry, I cannot see the image`",
        ),
        ComponentSpec(
            kind="gate",
            name="length",
            target="latte.describe.gates.length:LengthGate",
            options="latte.describe.gates.options:LengthOptions",
            summary="holds back texts of too few or too many words",
        ),
        ComponentSpec(
            kind="gate",
            name="language",
            target="latte.describe.gates.language:LanguageGate",
            options="latte.describe.gates.options:LanguageOptions",
            summary="holds back texts in another script or language",
        ),
        ComponentSpec(
            kind="gate",
            name="repetition",
            target="latte.describe.gates.repetition:RepetitionGate",
            options="latte.describe.gates.options:RepetitionOptions",
            summary="holds back texts that loop, and one text for too many images",
        ),
        ComponentSpec(
            kind="gate",
            name="leakage",
            target="latte.describe.gates.leakage:LeakageGate",
            options="latte.describe.gates.options:LeakageOptions",
            summary="holds back texts that name a class",
        ),
        ComponentSpec(
            kind="labeler",
            name="frozen",
            target="latte.adapt.labelers:FrozenLabeler",
            options="latte.adapt.options:FrozenOptions",
            summary="the zero-shot class, never changed",
        ),
        ComponentSpec(
            kind="labeler",
            name="current",
            target="latte.adapt.labelers:CurrentLabeler",
            options="latte.adapt.options:CurrentOptions",
            summary="the class of the nearest prototype, now",
        ),
        ComponentSpec(
            kind="prototypes",
            name="templates",
            target="latte.adapt.templates:TemplatePrototypes",
            options="latte.adapt.options:TemplateOptions",
            summary="text features of the class templates",
        ),
        ComponentSpec(
            kind="prototypes",
            name="momentum",
            target="latte.adapt.momentum:MomentumPrototypes",
            options="latte.adapt.options:MomentumOptions",
            summary="LatteCLIP: prototypes that follow mixed descriptions with momentum",
        ),
        ComponentSpec(
            kind="prototypes",
            name="centroids",
            target="latte.adapt.centroids:CentroidPrototypes",
            summary="one prototype a class: the centroid that a labeler found for it",
        ),
        ComponentSpec(
            kind="prototypes",
            name="re-estimated",
            target="latte.adapt.re_estimated:ReEstimatedPrototypes",
            options="latte.adapt.options:ReEstimatedOptions",
            summary="from descriptions and frozen images, before the first step: for no training",
        ),
        ComponentSpec(
            kind="prototypes",
            name="anchored",
            target="latte.adapt.anchored:AnchoredPrototypes",
            options="latte.adapt.options:AnchoredOptions",
            summary="between a class's text and the centre of its images; needs no training",
        ),
        ComponentSpec(
            kind="loss",
            name="contrastive",
            target="latte.adapt.contrastive:ContrastiveLoss",
            options="latte.adapt.options:ContrastiveOptions",
            summary="symmetric contrastive loss between images and their targets",
        ),
        ComponentSpec(
            kind="reporter",
            name="html",
            target="latte.report.html:HtmlReporter",
            options="latte.report.options:HtmlOptions",
            summary="one self-contained page: accuracy, curves, classes, gallery",
        ),
        ComponentSpec(
            kind="reporter",
            name="model-card",
            target="latte.report.card:ModelCardReporter",
            summary="README.md beside the exported model: data, method, numbers, limits",
        ),
    )


def _published_datasets() -> Iterable[ComponentSpec]:
    return [
        ComponentSpec(
            kind="dataset",
            name=facts.name,
            target=f"latte.data.published.dataset:{facts.target}",
            options="latte.data.options:PublishedOptions",
            summary=f"{facts.title}: {facts.classes} classes, in CoOp's layout and splits",
        )
        for facts in all_facts().values()
    ]
