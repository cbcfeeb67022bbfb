"""What latte-tiny provides keeps the promises that latte relies on."""

from __future__ import annotations

from latte.testing import DatasetContract, ModelContract


class TestTinyCaltech(DatasetContract):
    component = "tiny-caltech"


class TestTinyModel(ModelContract):
    component = "tiny"
