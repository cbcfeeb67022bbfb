"""The guard `evidence`: would adapting help on images like these? Read from features alone."""

from __future__ import annotations

import math

import torch

from latte.api import Evidence, Guard, Verdict
from latte_transductive.agreement import fit_frozen, kappa, mixture_labels, stability
from latte_transductive.lead import lead_over_chance
from latte_transductive.options import EvidenceOptions

FEWEST_IMAGES = 8
"""Images below which halves say nothing."""
LEAST_LEAD = 0.95
"""Lead below which names say no more of the images than unrelated names would."""
HALF = 0.5

# The log odds that adapting gains, fitted on 2,204 folders drawn from nine families of labelled
# sets with two related CLIPs (README, "The verdict").
_PER_STABILITY = 2.5
_PER_LEAD = 0.46
_ODDS_OF_NOTHING = -1.4
_WITHOUT_LEAD = 0.55
"""How often adapting gained there."""


class EvidenceGuard(Guard[EvidenceOptions]):
    """Takes the candidate as far as two signals that need no labels speak for it.

    They are the stability of an anchored mixture on the frozen features, and the lead of the best
    class. A candidate must also agree with that mixture more than zero-shot does: so a recipe
    that trains is held to what the frozen images' own structure says.
    """

    @torch.no_grad()
    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict; see `Guard`."""
        images, texts = evidence.image_features, evidence.class_features
        scale = evidence.logit_scale
        lead = lead_over_chance(images, texts)
        if len(images) < FEWEST_IMAGES or math.isnan(lead):
            return Verdict(0.0, "there are too few different images or names to test anything")
        zero_shot = mixture_labels(images, texts, scale, None)
        referee = fit_frozen(images, texts, scale, self.options).posteriors.argmax(dim=1)
        steady = stability(images, texts, scale, self.options, self.context.seed)
        signals = {
            "stability": steady,
            "lead": lead,
            "changed": float((evidence.labels != zero_shot).double().mean()),
            "agreement": kappa(evidence.labels, referee, len(texts)),
            "agreement of zero-shot": kappa(zero_shot, referee, len(texts)),
        }
        return self._verdict(signals, evidence.divisible)

    def _verdict(self, signals: dict[str, float], divisible: bool) -> Verdict:
        helps = probability(signals["stability"], signals["lead"])
        if signals["lead"] < LEAST_LEAD:
            reason = "the names tell no more about these images than unrelated names would"
            return Verdict(0.0, reason, min(helps, _WITHOUT_LEAD), signals)
        if signals["agreement"] <= signals["agreement of zero-shot"]:
            reason = (
                "no label would change"
                if signals["changed"] == 0
                else "the adapted labels fit the images' own structure no better than before"
            )
            return Verdict(0.0, reason, min(helps, 1 - helps), signals)
        strength = self._strength(helps, divisible)
        return Verdict(strength, _reason(signals), helps, signals)

    def _strength(self, helps: float, divisible: bool) -> float:
        if helps >= self.options.whole_from:
            return 1.0
        if helps < self.options.half_from:
            return 0.0
        return HALF if divisible else 1.0


def probability(steady: float, lead: float) -> float:
    """Return the probability that adapting gains, from stability (up to 1) and lead (1: chance)."""
    odds = _PER_STABILITY * steady + _PER_LEAD * lead + _ODDS_OF_NOTHING
    return 1 / (1 + math.exp(-odds))


def _reason(signals: dict[str, float]) -> str:
    return (
        f"halves of the images lead to labels that agree {_percent(signals['stability'])} beyond "
        f"chance, and the best name stands out {signals['lead']:.1f} times as far as among "
        f"unrelated names"
    )


def _percent(share: float) -> str:
    return f"{max(0.0, share):.0%}".replace("%", " %")
