"""The labeler keeps latte's contract."""

from __future__ import annotations

from latte_author.testing import PseudoLabelerContract


class TestSelfTaught(PseudoLabelerContract):
    component = "self-taught"
