"""Guard `evidence`, which decides from features alone if the run uses the adapted model."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from latte.api import Evidence, Guard, NoOptions, Verdict, self_taught
from latte_selftaught.agreement import LEAST_REMOVED, removed_disagreement
from latte_selftaught.known_names import LEAST_AGREEMENT, name_agreement
from latte_selftaught.margin import relative_margin

_BLOCK_NUMBERS = 2**24
MIN_IMAGES = 8
"""With fewer images, zero-shot is kept: the lead means little."""
MIN_LEAD = 1.05
"""Below this lead, the class names separate the images hardly more than unrelated names."""
MIN_GIVEN = 6
"""If a person gave the class of at least this many images, the lead does not decide."""


class EvidenceGuard(Guard[NoOptions]):
    """Guard that judges the adapted model without labels.

    The *lead* decides, which says how well the class names fit the images. It is the mean
    difference between an image's two highest similarities, divided by the expected difference for
    unrelated names. Below `MIN_LEAD`, the guard keeps zero-shot CLIP. Otherwise it accepts the
    adapted model if its labels remove at least `LEAST_REMOVED` of the disagreement between similar
    images (`removed_disagreement`). That says nothing about the gain, which only answers measure
    (README, "The verdict").

    If the recipe has training steps, the guard instead labels the frozen features of all images by
    self-taught ridge regression. The adapted labels must agree more with these labels than the
    zero-shot labels do, so that they fit the groups of similar images.

    If a person gave the class of `MIN_GIVEN` images or more, the lead does not decide, and the
    adapted labels must agree more with a regression that uses these classes, with or without
    training (README, "The verdict").

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
        corrections = evidence.corrections
        lead = relative_margin(images, texts, progress=self.context.progress)
        if len(images) < MIN_IMAGES or math.isnan(lead):
            return Verdict(0.0, "there are too few different images or class names to judge")
        answer_count = 0 if corrections is None else int((corrections >= 0).sum())
        zero_shot = nearest_texts(images, texts)
        signals = {"lead": lead, "changed": float((evidence.labels != zero_shot).double().mean())}
        if signals["changed"] == 0:
            return Verdict(0.0, "adapting would change no label", signals)
        if lead < MIN_LEAD and answer_count < MIN_GIVEN:
            reason = "the class names separate these images no more than unrelated names would"
            return Verdict(0.0, reason, signals)
        judged = evidence.trained or answer_count >= MIN_GIVEN
        doubt = (_doubt_by_regression if judged else _doubt_by_neighbours)(
            evidence, zero_shot, signals
        )
        if doubt:
            return Verdict(0.0, doubt, signals)
        if answer_count >= MIN_GIVEN:
            return Verdict(1.0, f"a person named the class of {answer_count} images", signals)
        return Verdict(1.0, _reason(lead), signals)


def _doubt_by_regression(
    evidence: Evidence, zero_shot: Tensor, signals: dict[str, float]
) -> str | None:
    """Return why zero-shot CLIP fits regression at least as well, or None; add to `signals`."""
    images, texts = evidence.image_features, evidence.class_features
    nobody = torch.full((len(images),), -1)
    answers = nobody if evidence.corrections is None else evidence.corrections
    reference = self_taught(images, texts, answers).posterior.labels[:, 0]
    adapted, kept = (
        kappa(labels, reference, len(texts)) for labels in (evidence.labels, zero_shot)
    )
    signals |= {"agreement": adapted, "agreement of zero-shot": kept}
    if adapted > kept:
        return None
    return "the adapted labels fit groups of similar images no more than zero-shot CLIP's"


def _doubt_by_neighbours(
    evidence: Evidence, zero_shot: Tensor, signals: dict[str, float]
) -> str | None:
    """Return why zero-shot CLIP fits neighbours about as well, or None; add to `signals`."""
    removed = removed_disagreement(evidence.image_features, zero_shot, evidence.labels)
    signals["removed disagreement"] = removed
    if removed >= LEAST_REMOVED:
        return None
    return "similar images agree hardly more on the adapted labels than on those of zero-shot CLIP"


def _reason(lead: float) -> str:
    return (
        "the class names separate these images (the margin between the best and the second class "
        f"is {lead:.1f} times that of unrelated names)"
    )


def nearest_texts(images: Tensor, texts: Tensor) -> Tensor:
    """Return the zero-shot class (N,) of each of the unit features (N, D), for texts (C, D)."""
    blocks = torch.split(images, max(1, _BLOCK_NUMBERS // len(texts)))
    return torch.cat([(block @ texts.T).argmax(dim=1) for block in blocks])


def kappa(first_labels: Tensor, second_labels: Tensor, classes: int) -> float:
    """Return Cohen's kappa of two labellings (N,): 1 if all labels agree, 0 at chance level.

    Example:
        >>> kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]), 2)
        0.5
    """
    observed = float((first_labels == second_labels).double().mean())
    shares = [
        labels.bincount(minlength=classes).double() / len(labels)
        for labels in (first_labels, second_labels)
    ]
    chance = float(shares[0] @ shares[1])
    return (observed - chance) / (1 - chance) if chance < 1 else 1.0
