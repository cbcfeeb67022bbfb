"""latte's own components, declared exactly as a third party's package declares its own."""

from __future__ import annotations

from collections.abc import Iterable

from latte.components.datasets.published.facts import all_facts
from latte.registry.spec import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Built-in components; none is imported here."""
    return (
        ComponentSpec(
            kind="dataset",
            name="folder",
            target="latte.components.datasets.folder:ImageFolderDataset",
            options="latte.data.source_options:FolderOptions",
            summary="every image below a folder; class names from a file, a list or sub-folders",
        ),
        ComponentSpec(
            kind="dataset",
            name="list",
            target="latte.components.datasets.listing:ListDataset",
            options="latte.data.source_options:ListOptions",
            summary="images named in a CSV or JSONL file",
        ),
        ComponentSpec(
            kind="dataset",
            name="coop",
            target="latte.components.datasets.coop:CoopDataset",
            options="latte.data.source_options:CoopOptions",
            summary="images and splits of a CoOp split_zhou_*.json file",
        ),
        *_published_datasets(),
        ComponentSpec(
            kind="describer",
            name="phrases",
            target="latte.components.describers.phrases:PhraseDescriber",
            options="latte.toolkit.description_options:PhraseOptions",
            summary="ranks phrases with the frozen CLIP and makes a sentence; needs no LMM",
        ),
        ComponentSpec(
            kind="description",
            name="class",
            target="latte.toolkit.description_types:ClassDescription",
            options="latte.toolkit.description_options:ClassOptions",
            summary="the template of a sample's pseudo-label",
        ),
        ComponentSpec(
            kind="description",
            name="image",
            target="latte.toolkit.description_types:ImageDescription",
            options="latte.toolkit.description_options:ImageOptions",
            summary="what one image shows",
        ),
        ComponentSpec(
            kind="description",
            name="group",
            target="latte.toolkit.description_types:GroupDescription",
            options="latte.toolkit.description_options:GroupOptions",
            summary="what several images of one frozen pseudo-label have in common",
        ),
        ComponentSpec(
            kind="gate",
            name="refusal",
            target="latte.components.gates.refusal:RefusalGate",
            options="latte.components.gates.options:RefusalOptions",
            summary="holds back answers such as `I'm sorry, I cannot see the image`",
        ),
        ComponentSpec(
            kind="gate",
            name="length",
            target="latte.components.gates.length:LengthGate",
            options="latte.components.gates.options:LengthOptions",
            summary="holds back texts of too few or too many words",
        ),
        ComponentSpec(
            kind="gate",
            name="language",
            target="latte.components.gates.language:LanguageGate",
            options="latte.components.gates.options:LanguageOptions",
            summary="holds back texts in another script or language",
        ),
        ComponentSpec(
            kind="gate",
            name="repetition",
            target="latte.components.gates.repetition:RepetitionGate",
            options="latte.components.gates.options:RepetitionOptions",
            summary="holds back texts that loop, and one text for too many images",
        ),
        ComponentSpec(
            kind="gate",
            name="leakage",
            target="latte.components.gates.leakage:LeakageGate",
            options="latte.components.gates.options:LeakageOptions",
            summary="holds back texts that name a class",
        ),
        ComponentSpec(
            kind="labeler",
            name="frozen",
            target="latte.components.labelers.labelers:FrozenLabeler",
            options="latte.components.options:FrozenOptions",
            summary="the zero-shot class, never changed",
        ),
        ComponentSpec(
            kind="labeler",
            name="current",
            target="latte.components.labelers.labelers:CurrentLabeler",
            options="latte.components.options:CurrentOptions",
            summary="the class of the nearest prototype, now",
        ),
        ComponentSpec(
            kind="prototypes",
            name="templates",
            target="latte.components.prototypes.templates:TemplatePrototypes",
            options="latte.components.options:TemplateOptions",
            summary="text features of the class templates",
        ),
        ComponentSpec(
            kind="prototypes",
            name="momentum",
            target="latte.components.prototypes.momentum:MomentumPrototypes",
            options="latte.components.options:MomentumOptions",
            summary="LatteCLIP: prototypes that follow mixed descriptions with momentum",
        ),
        ComponentSpec(
            kind="prototypes",
            name="centroids",
            target="latte.toolkit.centroids:CentroidPrototypes",
            summary="one prototype a class: the centroid that a labeler found for it",
        ),
        ComponentSpec(
            kind="prototypes",
            name="re-estimated",
            target="latte.components.prototypes.re_estimated:ReEstimatedPrototypes",
            options="latte.components.options:ReEstimatedOptions",
            summary="from descriptions and frozen images, before the first step: for no training",
        ),
        ComponentSpec(
            kind="prototypes",
            name="anchored",
            target="latte.components.prototypes.anchored:AnchoredPrototypes",
            options="latte.components.options:AnchoredOptions",
            summary="between a class's text and the centre of its images; needs no training",
        ),
        ComponentSpec(
            kind="loss",
            name="contrastive",
            target="latte.components.losses.contrastive:ContrastiveLoss",
            options="latte.components.options:ContrastiveOptions",
            summary="symmetric contrastive loss between images and their targets",
        ),
        ComponentSpec(
            kind="reporter",
            name="html",
            target="latte.report.page.page:HtmlReporter",
            options="latte.components.reporters.html:HtmlOptions",
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
            target=f"latte.components.datasets.published.dataset:{facts.target}",
            options="latte.data.source_options:PublishedOptions",
            summary=f"{facts.title}: {facts.classes} classes, in CoOp's layout and splits",
        )
        for facts in all_facts().values()
    ]
