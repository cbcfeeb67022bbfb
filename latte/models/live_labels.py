"""Labels of a run's own images by a model that is fitted in memory while a person answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the review server passes them on, and needs none of what they import
    from torch import Tensor

    from latte.interfaces.answer_facts import AnswerFacts
    from latte.models.classified import OwnLabels


class SupersededError(Exception):
    """A newer answer makes a fit useless."""


@dataclass(frozen=True)
class LiveLabels:
    """Labels of the N training images, as a run with the same answers would write them."""

    zero_shot: Tensor
    """(N,) int64: the labels by zero-shot CLIP."""
    used: OwnLabels
    """The labels by the model that a run would use, with the classes that a person gave."""
    adapted: OwnLabels
    """The labels by the adapted model, even if the run would not use it."""
    left_out_right: Mapping[str, bool] = field(default_factory=dict)
    """True if a fit without an answer gives its image the same class, by content key."""
    answers: AnswerFacts | None = None
    """Facts that the answers measure when they are left out in turn; None before that."""
