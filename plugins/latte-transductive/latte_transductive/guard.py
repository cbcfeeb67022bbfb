"""Guard `evidence`, which decides from features alone if the run uses the adapted model."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from latte.api import Evidence, Guard, Verdict
from latte_transductive.agreement import fit_frozen, kappa, mixture_labels, stability
from latte_transductive.margin import relative_margin
from latte_transductive.options import MixtureOptions, Share

MIN_IMAGES = 8
"""With fewer images, zero-shot is kept: fits to halves of them are not meaningful."""
MIN_MARGIN = 0.95
"""Below this relative margin, the class names fit the images no better than unrelated names."""
HALF = 0.5
# Words for the signals in the reason; they decide nothing.
_NEARLY, _MOSTLY, _CLEARLY = 0.9, 0.6, 1.5

MIN_GIVEN = 6
"""If a person gave the class of at least this many images, neither stability nor margin decides."""

# Coefficients of the score, which is the sigmoid of a sum. They were fitted to the gains on 2,204
# folders sampled from nine families of labelled sets, with two related CLIPs and the anchored
# mixture without neighbours. On sets that nobody had tuned to, the score does not separate gains
# from losses (README, "The verdict"), so it is no probability.
_PER_STABILITY = 2.5
_PER_MARGIN = 0.46
_INTERCEPT = -1.4


class EvidenceOptions(MixtureOptions):
    """Options of the guard `evidence`: the mixture's options, and two limits for its decision."""

    whole_from: Share = Field(
        default=0.75,
        description="the adapted model is used in full from this score",
    )
    half_from: Share = Field(
        default=0.65,
        description="half of the adapted model is used from this score, if nothing was trained; "
        "below it, zero-shot CLIP is kept",
    )


class EvidenceGuard(Guard[EvidenceOptions]):
    """Guard that judges the adapted model without labels.

    The guard accepts the adapted model, uses a mix of the adapted and the zero-shot classifier in
    equal parts, or keeps zero-shot CLIP. A score of two signals decides. `stability` is the
    agreement of two Gaussian mixtures, each fitted to a half of the images. `relative_margin`
    (`lead` in the verdict) says how well the class names fit the images. It is the mean difference
    between an image's two highest similarities, divided by the expected difference for unrelated
    names.

    The guard also fits a third Gaussian mixture, the reference, to the frozen features of all
    images. It keeps zero-shot CLIP unless the adapted labels agree more with the reference's labels
    than the zero-shot labels do. If the recipe has training steps, this checks that adapted labels
    fit the clusters of the frozen features.

    If a person gave the class of `MIN_GIVEN` images or more, an adapted model that agrees more with
    the reference is accepted in full (README, "With answers"). Of the three mixtures, only the
    reference uses the classes that a person gave.
    """

    @torch.no_grad()
    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict on the adapted model; see `Guard`."""
        images, texts = evidence.image_features, evidence.class_features
        scale = evidence.logit_scale
        margin = relative_margin(images, texts)
        if len(images) < MIN_IMAGES or math.isnan(margin):
            return Verdict(0.0, "there are too few different images or class names to judge")
        zero_shot = mixture_labels(images, texts, scale, None)
        corrections = evidence.corrections
        referee = fit_frozen(images, texts, scale, self.options, corrections).posteriors.argmax(
            dim=1
        )
        stable = stability(images, texts, scale, self.options, self.context.seed)
        signals = {
            "score": score(stable, margin),
            "stability": stable,
            "lead": margin,
            "changed": float((evidence.labels != zero_shot).double().mean()),
            "agreement": kappa(evidence.labels, referee, len(texts)),
            "agreement of zero-shot": kappa(zero_shot, referee, len(texts)),
        }
        answer_count = 0 if corrections is None else int((corrections >= 0).sum())
        return self._verdict(signals, answer_count, evidence.divisible)

    def _verdict(self, signals: dict[str, float], answer_count: int, divisible: bool) -> Verdict:
        """Return the verdict for the signals; a person gave the classes of `named` images."""
        enough = answer_count >= MIN_GIVEN
        if signals["lead"] < MIN_MARGIN and not enough:
            reason = "the class names separate these images no better than unrelated names would"
            return Verdict(0.0, reason, signals)
        if signals["agreement"] <= signals["agreement of zero-shot"]:
            reason = (
                "adapting would change no label"
                if signals["changed"] == 0
                else "the adapted labels fit groups of similar images no better than "
                "zero-shot CLIP's"
            )
            return Verdict(0.0, reason, signals)
        if enough:
            return Verdict(1.0, f"a person named the class of {answer_count} images", signals)
        return Verdict(self._strength(signals["score"], divisible), _reason(signals), signals)

    def _strength(self, value: float, divisible: bool) -> float:
        if value >= self.options.whole_from:
            return 1.0
        if value < self.options.half_from:
            return 0.0
        return HALF if divisible else 1.0


def score(stable: float, margin: float) -> float:
    """Return the score (0 to 1) that the limits `half_from` and `whole_from` apply to."""
    odds = _PER_STABILITY * stable + _PER_MARGIN * margin + _INTERCEPT
    return 1 / (1 + math.exp(-odds))


def _reason(signals: dict[str, float]) -> str:
    stable, lead = max(0.0, signals["stability"]), signals["lead"]
    alike = "nearly" if stable >= _NEARLY else "mostly" if stable >= _MOSTLY else "only partly"
    better = "clearly" if lead >= _CLEARLY else "little"
    return (
        f"two halves of the images lead to {alike} the same labels (agreement {stable:.2f}; 0: by "
        f"chance, 1: always), and the class names fit {better} better than unrelated names (the "
        f"margin between the best and the second class is {lead:.1f} times that of unrelated names)"
    )
