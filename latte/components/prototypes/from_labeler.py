"""Prototypes `from-labeler`: the classifier that a labeler returns in each epoch."""

from __future__ import annotations

from latte.api import LabelerPrototypes


class FromLabelerPrototypes(LabelerPrototypes):
    """The latest classifier from the labeler, and the zero-shot classifier before it."""
