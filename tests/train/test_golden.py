"""Golden trace: three steps of the published implementation; see `golden/README.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.interfaces import Batch, EpochInfo, NoOptions
from tests.helpers.reference_training import latteclip_step
from tests.helpers.training_driver import CONTEXT, relative_error, take_step, training_start

GOLDEN = Path(__file__).parent / "golden" / "latteclip_steps.safetensors"
TOLERANCE = 1e-5
RESULTS = ("loss", "prototypes", "current_labels", "grad_image_features", "grad_text_table")


def rows_of(step: int, batch_size: int) -> slice:
    return slice(step * batch_size, (step + 1) * batch_size)


def text_table(recorded: dict[str, Tensor]) -> Tensor:
    names = ("class_text_features", "image_text_features", "group_text_features")
    return torch.cat([recorded[name] for name in names])


class StepFeatures:
    """Features of one step of the trace, as leaves of a graph."""

    def __init__(self, recorded: dict[str, Tensor], step: int) -> None:
        steps, rows = recorded["current_labels"].shape
        classes = len(recorded["class_text_features"])
        self.rows = torch.arange(steps * rows)[rows_of(step, rows)]
        self.images = recorded["image_features"][self.rows].clone().requires_grad_()
        self.table = text_table(recorded).clone().requires_grad_()
        self.class_texts = self.table[:classes]
        self.sample_texts = {
            "image": self.table[classes + self.rows],
            "group": self.table[classes + steps * rows + self.rows],
        }


def stack(
    results: list[tuple[Tensor, Tensor, StepFeatures]], prototypes: list[Tensor]
) -> dict[str, Tensor]:
    return {
        "loss": torch.stack([loss.detach() for loss, _, _ in results]),
        "prototypes": torch.stack(prototypes),
        "current_labels": torch.stack([labels for _, labels, _ in results]),
        "grad_image_features": torch.stack([grad_of(each.images) for _, _, each in results]),
        "grad_text_table": torch.stack([grad_of(each.table) for _, _, each in results]),
    }


def grad_of(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def run_components(recorded: dict[str, Tensor]) -> dict[str, Tensor]:
    start = training_start(
        recorded["class_text_features"],
        recorded["image_features"],
        zero_shot_labels=recorded["frozen_labels"],
    )
    frozen = FrozenLabeler(StreamOptions(), CONTEXT)
    frozen.start(start)
    current = CurrentLabeler(StreamOptions(), CONTEXT)
    aggregator = MomentumPrototypes(MomentumOptions(margins="epoch_start"), CONTEXT)
    aggregator.start(start)
    aggregator.on_epoch_start(EpochInfo(), "main")
    contrastive = ContrastiveLoss(NoOptions(), CONTEXT)

    prototypes = [aggregator.classifier().weights]
    results = []
    for step in range(len(recorded["loss"])):
        inputs = StepFeatures(recorded, step)
        taken_step = take_step(
            [frozen, current],
            aggregator,
            contrastive,
            Batch("main", inputs.rows, epoch=0, step=step),
            inputs.images,
            inputs.class_texts,
            inputs.sample_texts,
        )
        results.append((taken_step.loss, taken_step.supervisions[1].stream.labels, inputs))
        prototypes.append(aggregator.classifier().weights)
    return stack(results, prototypes)


def run_reference(single_precision: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run the reference in double precision, as its sums add one number at a time."""
    recorded = {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in single_precision.items()
    }
    zero_shot_prototypes = list(recorded["class_text_features"])
    prototypes = [zero_shot_prototypes]
    results = []
    for step in range(len(recorded["loss"])):
        inputs = StepFeatures(recorded, step)
        taken_step = latteclip_step(
            inputs.images,
            inputs.class_texts,
            inputs.sample_texts,
            recorded["frozen_labels"][inputs.rows].tolist(),
            prototypes[-1],
            zero_shot_prototypes,
        )
        torch.autograd.backward(taken_step.loss)
        results.append((taken_step.loss, torch.tensor(taken_step.current_labels), inputs))
        prototypes.append(taken_step.prototypes)
    return stack(results, [torch.stack(each) for each in prototypes])


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(GOLDEN)


@pytest.mark.parametrize("run", [run_components, run_reference])
def test_golden_trace_is_reproduced(
    run: Callable[[dict[str, Tensor]], dict[str, Tensor]], recorded: dict[str, Tensor]
) -> None:
    computed = run(recorded)

    for name in RESULTS:
        error = relative_error(computed[name], recorded[name])
        assert error <= TOLERANCE, f"{name} is off by {error} of its largest entry"


def test_golden_trace_distinguishes_streams_and_texts(recorded: dict[str, Tensor]) -> None:
    """A trace without these differences would be reproduced by a wrong implementation, too."""
    frozen = recorded["frozen_labels"].view_as(recorded["current_labels"])
    agreeing = frozen == recorded["current_labels"]
    moved = (recorded["prototypes"][1:] - recorded["prototypes"][:-1]).abs().amax(dim=(1, 2))

    assert agreeing.any()
    assert not agreeing.all()
    assert (moved > 50 * TOLERANCE).all()
    assert recorded["grad_text_table"].abs().amax() > 50 * TOLERANCE
