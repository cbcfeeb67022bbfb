"""Messages of contracts name the mistake and its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from latte_author.testing import PseudoLabelerContract
from latte_author.testing import component as module

from latte.api import Batch, ComponentSpec, EpochInfo, LabelStream, NoOptions, PseudoLabeler
from latte.registry.registry import Registry
from latte.registry.spec import Plugin


class Contract(PseudoLabelerContract):
    component = "current"
    options: ClassVar = {"margin": 0.1}


def test_options_that_do_not_fit_are_named_with_all_options() -> None:
    with pytest.raises(AssertionError) as raised:
        Contract().build()
    message = str(raised.value)
    assert message.startswith("`options` of Contract do not fit StreamOptions: margin: ")
    assert message.endswith("All options: weight")


def test_a_name_of_two_packages_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ComponentSpec("labeler", "current", "a:A", "one of two")
    plugins = [Plugin(name, name, "1.0", "ok", specs=(spec,)) for name in ("mine", "other")]
    monkeypatch.setattr(module, "load_registry", lambda: Registry(plugins))
    with pytest.raises(AssertionError) as raised:
        Contract().registered()
    message = str(raised.value)
    assert "installed" not in message
    assert 'Write "mine/current" or "other/current".' in message


def test_a_missing_plugin_is_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_registry", lambda: Registry([]))
    with pytest.raises(AssertionError, match="is the plugin installed"):
        Contract().registered()


class Forgetful(PseudoLabeler[NoOptions]):
    """Keeps labels of the epoch that `state` does not return."""

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        self.scale = 1.0
        return EpochInfo()

    def assign(self, batch: Batch, image_features: Any, aggregator: Any) -> list[LabelStream]:
        labels = torch.zeros(len(batch.indices), dtype=torch.int64)
        return [LabelStream("mine", labels, image_features.new_ones(len(labels)), self.scale)]


class Heavy(Forgetful):
    """Gives weights just above 1."""

    def assign(self, batch: Batch, image_features: Any, aggregator: Any) -> list[LabelStream]:
        (stream,) = super().assign(batch, image_features, aggregator)
        return [LabelStream("mine", stream.labels, stream.weights * (1 + 1e-6))]


class ForgetfulContract(PseudoLabelerContract):
    broken: ClassVar[type[PseudoLabeler[NoOptions]]] = Forgetful

    def build(self) -> tuple[type[PseudoLabeler[NoOptions]], NoOptions]:
        return self.broken, NoOptions()


class HeavyContract(ForgetfulContract):
    broken = Heavy


def test_a_labeler_that_cannot_resume_learns_which_methods_are_called(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as raised:
        ForgetfulContract().test_a_stopped_run_goes_on_with_the_same_labels(tmp_path)
    message = str(raised.value)
    assert "does not call on_epoch_start() again" in message
    assert "AttributeError: 'Forgetful' object has no attribute 'scale'" in message


def test_weights_outside_the_range_are_shown_in_full(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"weights from 1\.00000\d+ to 1\.00000\d+, not in"):
        HeavyContract().test_streams_are_well_formed(tmp_path, 4, 5)
