"""Build a classifier from trained learners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from latte.interfaces import Classifier
from latte.models.adapted import Adapted, Member
from latte.train.learner import Learner


def from_learners(
    learners: Sequence[Learner], class_names: Sequence[str], encoders: Sequence[Member] = ()
) -> Adapted:
    """Return a classifier with the learners' backbones and CPU copies of their prototypes.

    `encoders` are further members, whose prototypes may be on any device.
    """
    members = [
        Member(
            learner.name,
            learner.backbone,
            _on_cpu(learner.aggregator.classifier()),
            learner.arithmetic,
        )
        for learner in learners
    ]
    members += [replace(member, classifier=_on_cpu(member.classifier)) for member in encoders]
    return Adapted(tuple(class_names), tuple(members))


def _on_cpu(classifier: Classifier) -> Classifier:
    return Classifier(
        classifier.weights.detach().cpu().clone(),
        classifier.owners.cpu().clone(),
        None if classifier.bias is None else classifier.bias.detach().cpu().clone(),
    )
