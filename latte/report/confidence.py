"""What a model card says about how far confidence may be believed."""

from __future__ import annotations

from latte.interfaces import Calibration
from latte.report.numbers import count

_OWN = (
    "Scores are the softmax of the model's logit scale times the similarity. They are usually "
    "surer than right: 0.9 does not promise that nine of ten such answers are right."
)

_FAILS = (
    "The estimate believes zero-shot's probabilities, so it is wrong where zero-shot is wrong and "
    "sure of it, as on images that the starting model knows little of."
)


def confidence_text(calibration: Calibration | None) -> str:
    """A paragraph on calibration."""
    if calibration is None:
        return _OWN
    return " ".join((_found(calibration), _FAILS, _measured(calibration)))


def _found(calibration: Calibration) -> str:
    return (
        f"Scores are the softmax of {calibration.scale:.3g} times the similarity, in place of "
        f"the model's own logit scale of {calibration.logit_scale:.3g} (temperature "
        f"{calibration.temperature:.2f}). It comes from zero-shot's word, not from true labels: it "
        f"makes the mean confidence on {count(calibration.images)} training images equal to the "
        "accuracy that the probabilities of zero-shot allow, "
        f"{100 * calibration.expected_accuracy:.0f} %."
    )


def _measured(calibration: Calibration) -> str:
    if calibration.error is None or calibration.uncalibrated_error is None:
        return "How well that holds was not measured, for want of labelled images."
    return (
        "On the labelled evaluation images the expected calibration error (15 bins) is "
        f"{calibration.error:.3f}; with the model's own scale it would be "
        f"{calibration.uncalibrated_error:.3f}."
    )
