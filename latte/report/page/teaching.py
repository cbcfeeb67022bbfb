"""Say in a row of steps what taught the model of a run that trains with texts."""

from __future__ import annotations

from dataclasses import dataclass

from latte.interfaces import RunResults
from latte.report.facts import method_facts
from latte.report.numbers import plural


@dataclass(frozen=True)
class TeachingStep:
    """A part of the method: its name, the recipe's components, and what it gives to the next."""

    name: str
    components: str
    gives: str


_PARTS = (
    ("Texts", "Descriptions", "what a model or a list wrote about photos and classes"),
    ("Labels", "Pseudo-labels", "the class of each photo for now"),
    ("Prototypes", "Prototypes", "a vector per class, which its texts and photos move"),
    ("Trained", "Trained parameters", "photos move towards the prototype of their label"),
)
"""Name of each step, the fact that names its components, and what it gives to the next step."""


def teaching_steps(results: RunResults) -> list[TeachingStep]:
    """Return what taught what, from the photos on; empty if a part of it is not in the recipe."""
    facts = dict(method_facts(results.record.recipe))
    if any(fact not in facts for _, fact, _ in _PARTS):
        return []
    photos = plural(results.record.data.training_images, "photo")
    steps = [TeachingStep(name, facts[fact], gives) for name, fact, gives in _PARTS]
    return [TeachingStep("Photos", photos, "what CLIP sees in them"), *steps]
