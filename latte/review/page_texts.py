"""Texts of the page that follow from its state: the number in the head, its source, the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latte.data.few_images import counted

_PILES = 7
"""Number of classes whose photos the last view shows."""
_LEFT_OUT = "Each answer about a random photo was left out once and guessed from the others."
_RANDOM = "Random photos alone, each scored by the label that it had before its answer."
_LOW = "No. It may be a little low, because the newest answers have only just taught."
_SOURCES: Mapping[str, Sequence[tuple[str, str]]] = {
    "unknown": [("Measure", "Twenty random photos give the best one.")],
    "left-out": [
        ("Source", _LEFT_OUT),
        ("Better?", "Measure asks about more random photos and narrows the band."),
    ],
    "random": [("Source", _RANDOM), ("Too high?", _LOW)],
}


def page_texts(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each element of the page, by its id; `state` is JSON data."""
    left, change, estimate = state["groupsLeft"], state["change"], _shown(state)
    changed = f"{counted(change['count'], 'label')} changed" if change else ""
    more_classes = sum(count > 0 for count in state["counts"]) - _PILES
    return {
        "name": state["name"],
        "photos": counted(state["photos"], "photo"),
        "answered": f", {state['answered']} answered",
        "groups-left": f", {counted(left, 'group')} left" if left else "",
        "news": state["teaching"].get("note") or (changed and f"{changed}."),
        "changes-title": changed,
        "more-classes": _more_classes(more_classes) if more_classes > 0 else "",
        **_measured(state),
        **(_unknown(state) if estimate["source"] == "unknown" else _known(state, estimate)),
        **{f"command-{name}": command for name, command in state["commands"].items()},
    }


def estimate_facts(state: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return terms and sentences: where the number comes from, and how it may be wrong."""
    estimate = _shown(state)
    facts = [*_SOURCES[estimate["source"]]]
    if estimate["source"] == "unknown":
        facts.insert(0, ("Soon", f"{_needed(estimate)}."))
    else:
        band = f"With 95 % confidence, the true value is in {_interval(estimate)}."
        facts.append(("Band", band))
    if state["zeroShotKnowsNames"] is False:
        facts.append(("Names", "Plain CLIP hardly knows these names: answers bring most."))
    return facts


def _shown(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the estimate that the page shows.

    The newest labels are estimated in a pause. Until then, the number before stands, with the
    number of its answers.
    """
    estimate: Mapping[str, Any] = state["estimate"]
    history: Sequence[Mapping[str, Any]] = state["history"]
    is_waiting = estimate["source"] == "unknown" and history
    return {**history[-1], "source": "left-out"} if is_waiting else estimate


def _interval(estimate: Mapping[str, Any]) -> str:
    return f"{estimate['low']:.0f} to {estimate['high']:.0f} %"


def _known(state: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, str]:
    zero_shot, more = state["zeroShot"], _ten_more(state["tenMore"])
    before = (
        "" if zero_shot is None else f"Zero-shot CLIP had {zero_shot:.0f} % on the same answers. "
    )
    after = f" Ten more answers are expected to bring {more}." if more else ""
    is_enough = more == _LITTLE
    if is_enough:
        after = f"{after[:-1]}: a good place to stop."
    answers = counted(estimate["answers"], "answer")
    right = f"About {estimate['value']:.0f} % of the labels are right"
    between = _interval(estimate).replace("to", "and")
    return {
        "value": f"{estimate['value']:.0f}",
        "interval": f"probably {_interval(estimate)}",
        "after": f"After {answers}",
        "was": "" if zero_shot is None else f", was {zero_shot:.0f} %",
        "ten-more": more.replace("about ", "about +").replace("at least ", "at least +"),
        "needed": "",
        "how-number": f"{right}, from {answers}. {before}",
        "headline": f"{'Done.' if is_enough else 'Finish here, or go on.'} {right}.",
        "trust": f"{before}The true value is probably between {between}.{after}",
    }


def _unknown(state: Mapping[str, Any]) -> dict[str, str]:
    of_known_numbers = ("value", "interval", "after", "was", "ten-more")
    return dict.fromkeys(of_known_numbers, "") | {
        "needed": _needed(state["estimate"]),
        "how-number": "Without answers nobody knows how many labels are right.",
        "headline": "Finish here, or go on.",
        "trust": "Nobody knows yet how many labels are right.",
    }


def _needed(estimate: Mapping[str, Any]) -> str:
    if estimate["isNear"]:
        return "It is estimated while you pause"
    number = estimate["needed"]
    give = "gives" if number == 1 else "give"
    return f"{counted(number, 'random photo')} in Measure {give} a first estimate"


_LITTLE = "less than a point"


def _ten_more(more: Mapping[str, Any] | None) -> str:
    """Return what ten more answers are expected to bring; empty if that is not known."""
    points = round(more["points"]) if more else 0
    if more is None or (points < 1 and more["atLeast"]):
        return ""
    about = "at least" if more["atLeast"] else "about"
    return f"{about} {counted(points, 'point')}" if points else _LITTLE


def _measured(state: Mapping[str, Any]) -> dict[str, str]:
    answers, right, needed = (state["measured"][name] for name in ("answers", "right", "needed"))
    rests = f"{needed} more, and the number above rests" if needed else "The number above rests"
    later = " They teach once you leave this view." if state["measureFrozen"] else ""
    return {
        "right": f"{right} of {answers} random photos had the right label." if answers else "",
        "then": f"{rests} on these alone.{later}",
    }


def _more_classes(number: int) -> str:
    return f"and {number} more {'class' if number == 1 else 'classes'}"
