"""Every labeler of the package keeps latte's contract."""

from __future__ import annotations

from pathlib import Path

from latte_author.testing import LossContract, PseudoLabelerContract


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


class NewTextsContract(PseudoLabelerContract):
    def test_labels_and_classifiers_fit_well_separated_classes(self, tmp_path: Path) -> None:
        """In the contract, features of new sentences have no meaning."""


class TestTemplates(NewTextsContract):
    component = "templates"


class TestWaffle(NewTextsContract):
    component = "waffle"


class TestDclip(PseudoLabelerContract):
    component = "dclip"


class TestCupl(PseudoLabelerContract):
    component = "cupl"


class TestSoftZeroShot(PseudoLabelerContract):
    component = "soft-zero-shot"


class TestClassMeans(PseudoLabelerContract):
    component = "class-means"


class TestUeo(LossContract):
    component = "ueo"
