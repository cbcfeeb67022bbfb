"""Methods that a proposed recipe can use, and the recipe keys that each method sets."""

from __future__ import annotations

from dataclasses import dataclass

from latte.new.asked_model import LABELER
from latte.registry.spec import Kind

AUTO = "auto"
CONTROL = "without-descriptions"
"""Control run of methods that train the CLIP: the same training without texts about images."""


@dataclass(frozen=True)
class ProposedMethod:
    """A method, and the parts of a recipe that only this method has.

    `before` and `after` are parts of the recipe's Jinja template. They stand before and after the
    section `descriptions`.
    """

    name: str
    before: str
    after: str
    component: tuple[Kind, str] | None = None
    describes: bool = False
    trains: bool = False
    takes_encoders: bool = False
    """True if the method uses features of image-only encoders beside the CLIP's."""
    is_guarded: bool = True
    """True if a guard decides between zero-shot CLIP and the result. Guards know no answers."""


_NO_STEPS = "train: {max_steps: 0}\n"

_METHODS = (
    ProposedMethod(
        "zero-shot",
        before="# Zero-shot CLIP as it is\nlabels: [frozen]\nprototypes: templates\n",
        after=_NO_STEPS,
        is_guarded=False,
    ),
    ProposedMethod(
        "self-taught",
        before="""\
# All images are labelled together; nothing is trained
labels: [self-taught]
prototypes: from-labeler
""",
        after=_NO_STEPS,
        component=("labeler", "self-taught"),
        takes_encoders=True,
    ),
    ProposedMethod(
        "training-free",
        before="# Prototypes are re-estimated from texts about the images, and from the images\n",
        after=f"prototypes: re-estimated\n{_NO_STEPS}",
        describes=True,
    ),
    ProposedMethod(
        "latteclip",
        before="",
        after="""\
labels: [current, frozen]
# A lower momentum suits few steps: prototypes follow the texts faster
prototypes: {use: momentum, momentum: 0.99}
loss: contrastive
train:
  batch_size: {{ choices.batch_size }}
  {% if choices.micro_batch_size %}
  micro_batch_size: {{ choices.micro_batch_size }}
  {% endif %}
  # Whichever comes first
  max_steps: 2000
  max_epochs: {{ choices.max_epochs }}
  optimizer: { {{- yaml(learning_rate=choices.learning_rate) -}} }
# For comparison: the same training without any text about images
controls:
  {{ control }}: {descriptions: [class], describer: null}
""",
        describes=True,
        trains=True,
    ),
)
CHOICES = ProposedMethod(
    "choices",
    before="""\
# All images are labelled together, with answers of a model; nothing is trained
labels: [choices]
prototypes: from-labeler
{{ yaml(describer=choices.asked.describer) }}
# Largest number of questions
{{ yaml(budget=choices.asked.questions) }}
{% if findings.evaluation %}
# For comparison: the same method without answers of the model
controls:
  no-questions: {labels: [{use: choices, ask: false}]}
{% endif %}
""",
    after=_NO_STEPS,
    component=LABELER,
    is_guarded=False,
)
"""Method that asks a model, which the user must name."""
METHODS = {method.name: method for method in _METHODS}
NAMES = (AUTO, *METHODS)
