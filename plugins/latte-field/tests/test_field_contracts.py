"""Every labeler of the package keeps latte's contract."""

from __future__ import annotations

from latte.testing import PseudoLabelerContract


class TestZlap(PseudoLabelerContract):
    component = "zlap"


class TestEcalp(PseudoLabelerContract):
    component = "ecalp"


class TestInmap(PseudoLabelerContract):
    component = "inmap"


class TestOtter(PseudoLabelerContract):
    component = "otter"


class TestDirichlet(PseudoLabelerContract):
    component = "em-dirichlet"


class TestStata(PseudoLabelerContract):
    component = "stata"


class TestTransclip(PseudoLabelerContract):
    component = "transclip"


class TestFrolic(PseudoLabelerContract):
    component = "frolic-bias"


class TestTda(PseudoLabelerContract):
    component = "tda"
