"""Prototypes that a labeler finds at the start of an epoch."""

from __future__ import annotations

from latte.api import LabelerPrototypes


class FromLabelerPrototypes(LabelerPrototypes):
    """The classifier that the labeler returned, and the zero-shot classifier until it did."""
