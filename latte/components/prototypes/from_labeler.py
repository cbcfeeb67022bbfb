"""Prototypes `from-labeler`: the classifier that a labeler returns in each epoch."""

from __future__ import annotations

from latte.api import LabelerPrototypes


class FromLabelerPrototypes(LabelerPrototypes):
    """Latest classifier of the labeler; the zero-shot classifier before the first."""
