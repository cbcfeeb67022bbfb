"""Run and stop trainings, and compare their bits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import NoOptions
from latte.toolkit.prototypes import LabelerPrototypes
from latte.train import caching, loop
from latte.train.encoding import Live
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.method_doubles import MaskedCrossEntropy, StepTemplates
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import Part


def outcome(training: Training) -> dict[str, Tensor]:
    """Return all tensors that training changed."""
    tensors: dict[str, Tensor] = {}
    for learner in training.learners:
        tensors |= {f"{learner.name} {name}": p.detach() for name, p in learner.parameters.items()}
        tensors[f"{learner.name} prototypes"] = learner.aggregator.classifier().weights
    return tensors


def metrics(training: Training) -> list[Mapping[str, Any]]:
    lines = (training.folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def assert_same_bits(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    different = [name for name in actual if not torch.equal(actual[name], expected[name])]
    assert different == []


def assert_close(actual: Training, expected: Training) -> None:
    """Compare all tensors that training changed, except the biases of attention keys.

    Attention does not depend on these biases, so their gradients are rounding errors. The optimiser
    divides gradients by their size, which makes steps of normal size of them.
    """
    actual_outcome, expected_outcome = outcome(actual), outcome(expected)
    for name, value in expected_outcome.items():
        pairs = [(actual_outcome[name], value)]
        if name.endswith("in_proj_bias"):
            queries, _, values = zip(actual_outcome[name].chunk(3), value.chunk(3), strict=True)
            pairs = [queries, values]
        for pair in pairs:
            torch.testing.assert_close(*pair, rtol=0, atol=1e-6)


def run(training: Training) -> Training:
    train(training, RecordedProgress())
    return training


def run_whole_towers(training: Training) -> Training:
    """Run a training whose steps compute all layers, because no outputs are small enough."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(caching, "LARGEST_STATES", -1)
        run(training)
    for learner in training.learners:
        assert isinstance(learner.images, Live)
        assert isinstance(learner.texts, Live)
    return training


class StoppedError(Exception):
    pass


def reclip_parts() -> list[Part]:
    return [
        Part(
            "text",
            "text_layer_norms",
            StepTemplates(NoOptions(), CONTEXT),
            MaskedCrossEntropy(NoOptions(), CONTEXT),
        ),
        Part(
            "visual",
            "visual_layer_norms",
            LabelerPrototypes(NoOptions(), CONTEXT),
            MaskedCrossEntropy(NoOptions(), CONTEXT),
        ),
    ]


def count_texts_in_steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list that gets all texts encoded during steps from now on."""
    encoded_texts: list[list[str]] = []
    stepping = False
    encode, take = OpenClipBackbone.encode_texts, loop.training_step

    def counted(self: OpenClipBackbone, texts: Sequence[str]) -> Tensor:
        if stepping:
            encoded_texts.append(list(texts))
        return encode(self, texts)

    def step(*arguments: Any) -> Any:
        nonlocal stepping
        stepping = True
        try:
            return take(*arguments)
        finally:
            stepping = False

    monkeypatch.setattr(OpenClipBackbone, "encode_texts", counted)
    monkeypatch.setattr(loop, "training_step", step)
    return encoded_texts


def stop_after(steps: int, training: Training) -> None:
    """Run a training, and interrupt it after `steps` steps of its learners, if it has more."""
    take, step_count = loop.training_step, 0

    def step(*arguments: Any) -> Any:
        nonlocal step_count
        step_count += 1
        if step_count > steps:
            raise StoppedError
        return take(*arguments)

    has_more = steps < training.total_steps * len(training.learners)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "training_step", step)
        with pytest.raises(StoppedError) if has_more else nullcontext():
            run(training)


def assert_resumes(build: Callable[[str], Training], steps: int) -> Training:
    """Check that a training that stops and resumes ends as one that does not; return it."""
    uninterrupted = run(build("whole"))
    stop_after(steps, build("stopped"))
    resumed = run(build("stopped"))
    assert_same_bits(outcome(uninterrupted), outcome(resumed))
    assert metrics(uninterrupted) == metrics(resumed)
    return resumed
