"""The labeler keeps latte's contract."""

from __future__ import annotations

from latte.testing import PseudoLabelerContract


class TestSelfTaught(PseudoLabelerContract):
    component = "self-taught"
