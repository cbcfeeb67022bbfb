"""Contract suites for the components of latte-tiny."""

from __future__ import annotations

from latte_author.testing import DatasetContract, ModelContract


class TestTinyCaltech(DatasetContract):
    component = "tiny-caltech"


class TestTinyModel(ModelContract):
    component = "tiny"
