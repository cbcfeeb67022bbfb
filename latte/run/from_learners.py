"""Build a classifier from trained learners."""

from __future__ import annotations

from collections.abc import Sequence

from latte.interfaces.classifier import cpu_copy
from latte.models.adapted import Adapted, Member
from latte.train.checked import checked_classifier
from latte.train.learner import Learner


def from_learners(learners: Sequence[Learner], class_names: Sequence[str]) -> Adapted:
    """Return a classifier with the learners' backbones and CPU copies of their prototypes."""
    members = (
        Member(
            learner.name,
            learner.backbone,
            cpu_copy(checked_classifier(learner, len(class_names))),
            learner.arithmetic,
        )
        for learner in learners
    )
    return Adapted(tuple(class_names), tuple(members))
