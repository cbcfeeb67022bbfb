"""A guard's verdict in words that need no statistics, with the command that overrides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latte.interfaces import RunResults, Verdict
from latte.report.plain import one_line

NO_GUARD = "No verdict: this recipe has no guard."
WITHOUT_GUARD = "--set guard=null"
_PLAIN_CLIP = "What plain CLIP says of your images is in pseudo_labels.csv, column zero_shot."

Tone = Literal["better", "unknown", "kept", "none"]


@dataclass(frozen=True)
class VerdictWords:
    """A verdict as people read it."""

    tone: Tone
    sentence: str
    reason: str | None = None
    """A whole sentence, as is `advice`."""
    advice: str | None = None
    """How to have it the other way."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentence, reason and advice, as far as they are there."""
        return tuple(one for one in (self.sentence, self.reason, self.advice) if one)


def verdict_words(results: RunResults, run: str) -> VerdictWords:
    """Return the words of a run's verdict; commands call the run folder `run`."""
    verdict = results.verdict
    if verdict is None:
        return VerdictWords("none", NO_GUARD)
    reason = one_line(verdict.reason)
    reason = reason[0].upper() + reason[1:] + "."
    sure = "" if verdict.probability is None else f" (probability {verdict.probability:.2f})"
    match verdict.outcome:
        case "kept zero-shot":
            sentence = f"Kept plain CLIP: the evidence that adapting helps is too weak{sure}."
            advice = (
                f"To adapt anyway, add {WITHOUT_GUARD} to the command of this run; the rejected "
                f"classifier is in {run}/candidate (latte predict {run} IMAGES --candidate)."
            )
            return VerdictWords("kept", sentence, reason, advice)
        case "likely better":
            sentence = (
                f"{_adapted(verdict)}: likely better than plain CLIP on images like these{sure}."
            )
            return VerdictWords("better", sentence, reason, _whole(verdict, run))
        case "cannot tell":
            sentence = f"{_adapted(verdict)}, but cannot tell whether it helps{sure}."
            advice = " ".join(filter(None, [_whole(verdict, run), _PLAIN_CLIP]))
            return VerdictWords("unknown", sentence, reason, advice)


def verdict_label(verdict: Verdict | None) -> str:
    """`likely better (0.93)`, or `guard: none`, for a column of a table."""
    if verdict is None:
        return "guard: none"
    sure = "" if verdict.probability is None else f" ({verdict.probability:.2f})"
    return f"{verdict.outcome}{sure}"


def _adapted(verdict: Verdict) -> str:
    if verdict.strength == 1:
        return "Adapted"
    return f"Adapted in part (strength {verdict.strength:.2f})"


def _whole(verdict: Verdict, run: str) -> str | None:
    if verdict.strength == 1:
        return None
    return (
        f"The whole candidate is in {run}/candidate (latte predict {run} IMAGES --candidate); to "
        f"take all of it, add {WITHOUT_GUARD} to the command of this run."
    )
