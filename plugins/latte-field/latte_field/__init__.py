"""Label-free methods of the literature: labelers, a loss and class texts, one file per method."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl

_LABELERS = (
    ("zlap", "zlap:ZlapLabeler", "ZLaP: label propagation over class texts and images"),
    ("ecalp", "ecalp:EcalpLabeler", "ECALP: label propagation with re-weighted features"),
    ("inmap", "inmap:InmapLabeler", "InMaP: class weights in image space, balanced labels"),
    ("otter", "otter:OtterLabeler", "OTTER: optimal transport to a distribution of classes"),
    ("em-dirichlet", "em_dirichlet:DirichletLabeler", "EM-Dirichlet: a Dirichlet per class"),
    ("stata", "stata:StataLabeler", "StatA: Gaussians anchored at the class texts"),
    ("transclip", "transclip:TransclipLabeler", "TransCLIP: Gaussians and agreeing neighbours"),
    ("frolic-bias", "frolic:FrolicLabeler", "Frolic's correction of the texts' label bias"),
    ("templates", "templates:TemplatesLabeler", "80 templates: class texts are means of sentences"),
    ("waffle", "waffle:WaffleLabeler", "WaffleCLIP: class texts with random words"),
    ("dclip", "lmm_texts:DclipLabeler", "DCLIP: class texts with features that a model lists"),
    ("cupl", "lmm_texts:CuplLabeler", "CuPL: class texts are sentences that a model writes"),
    ("class-means", "class_means:ClassMeansLabeler", "nearest means of zero-shot classes"),
    ("soft-zero-shot", "ueo:SoftZeroShotLabeler", "zero-shot labels with their probabilities"),
    ("tda", "tda:TdaLabeler", "TDA: a cache of sure and unsure images, in one pass"),
)


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labelers and the loss of this plugin."""
    labelers = [
        ComponentSpec(
            kind="labeler",
            name=name,
            target=f"latte_field.{target}",
            summary=summary,
            api_version=2,
        )
        for name, target, summary in _LABELERS
    ]
    loss = ComponentSpec(
        kind="loss",
        name="ueo",
        target="latte_field.ueo:UniversalEntropy",
        summary="UEO: low entropy of sure images, high entropy of the mean of unsure ones",
        api_version=2,
    )
    return [*labelers, loss]
