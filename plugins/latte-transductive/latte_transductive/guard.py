"""Guard `evidence`, which decides from features alone if the run uses the adapted model."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from latte.api import Evidence, Guard, Verdict
from latte_transductive.agreement import fit_frozen, kappa, mixture_labels
from latte_transductive.known_names import LEAST_AGREEMENT, name_agreement
from latte_transductive.margin import relative_margin
from latte_transductive.options import MixtureOptions

MIN_IMAGES = 8
"""With fewer images, zero-shot is kept: neither a mixture nor the lead means much."""
MIN_LEAD = 1.05
"""Below this lead, the class names separate the images hardly more than unrelated names."""
MIN_GIVEN = 6
"""If a person gave the class of at least this many images, the lead does not decide."""


class EvidenceGuard(Guard[MixtureOptions]):
    """Guard that judges the adapted model without labels.

    The *lead* decides, which says how well the class names fit the images. It is the mean
    difference between an image's two highest similarities, divided by the expected difference for
    unrelated names. Below `MIN_LEAD`, the guard keeps zero-shot CLIP; otherwise it accepts the
    adapted model. That says nothing about the gain, which only answers measure (README, "The
    verdict").

    If the recipe has training steps, the guard also fits a Gaussian mixture to the frozen features
    of all images. The adapted labels must agree more with the mixture's labels than the zero-shot
    labels do, so that they fit the clusters of the frozen features.

    If a person gave the class of `MIN_GIVEN` images or more, the lead does not decide, and the
    adapted labels must agree more with a mixture that uses these classes, with or without training
    (README, "With answers").

    The verdict also says that CLIP hardly knows the names if the lead is below `MIN_LEAD` and
    similar images often get different names (README, "Does CLIP know the names?").
    """

    @torch.no_grad()
    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict on the adapted model; see `Guard`."""
        verdict = self._decision(evidence)
        agreement = name_agreement(evidence.image_features, evidence.class_features)
        if "lead" not in verdict.signals or math.isnan(agreement):
            return verdict
        is_known = verdict.signals["lead"] >= MIN_LEAD or agreement >= LEAST_AGREEMENT
        signals = {**verdict.signals, "agreement of similar images": agreement}
        return replace(verdict, signals=signals, names_known=is_known)

    def _decision(self, evidence: Evidence) -> Verdict:
        images, texts = evidence.image_features, evidence.class_features
        scale, corrections = evidence.logit_scale, evidence.corrections
        lead = relative_margin(images, texts, progress=self.context.progress)
        if len(images) < MIN_IMAGES or math.isnan(lead):
            return Verdict(0.0, "there are too few different images or class names to judge")
        answer_count = 0 if corrections is None else int((corrections >= 0).sum())
        zero_shot = mixture_labels(images, texts, scale, None)
        signals = {"lead": lead, "changed": float((evidence.labels != zero_shot).double().mean())}
        if signals["changed"] == 0:
            return Verdict(0.0, "adapting would change no label", signals)
        if lead < MIN_LEAD and answer_count < MIN_GIVEN:
            reason = "the class names separate these images no more than unrelated names would"
            return Verdict(0.0, reason, signals)
        if evidence.trained or answer_count >= MIN_GIVEN:
            mixture = fit_frozen(images, texts, scale, self.options, corrections)
            reference = mixture.posteriors.argmax(dim=1)
            signals |= {
                "agreement": kappa(evidence.labels, reference, len(texts)),
                "agreement of zero-shot": kappa(zero_shot, reference, len(texts)),
            }
            if signals["agreement"] <= signals["agreement of zero-shot"]:
                reason = (
                    "the adapted labels fit groups of similar images no more than zero-shot CLIP's"
                )
                return Verdict(0.0, reason, signals)
        if answer_count >= MIN_GIVEN:
            return Verdict(1.0, f"a person named the class of {answer_count} images", signals)
        return Verdict(1.0, _reason(lead), signals)


def _reason(lead: float) -> str:
    return (
        "the class names separate these images (the margin between the best and the second class "
        f"is {lead:.1f} times that of unrelated names)"
    )
