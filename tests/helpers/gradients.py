"""Compare gradients, and measure the memory of autograd."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from latte.train.training import Training
from tests.helpers.training_runs import run


def gradients(training: Training) -> dict[str, Tensor]:
    """Return the gradients of the last step."""
    (learner,) = training.learners
    gradients_by_name = {name: value.grad for name, value in learner.parameters.items()}
    return {name: gradient for name, gradient in gradients_by_name.items() if gradient is not None}


def assert_same_gradients(actual: Training, expected: Training, tolerance: float = 2e-5) -> None:
    """Compare the norm of the difference with the norm of the whole gradient.

    Rounding in fp32 gives differences of about 1e-5, depending on the CPU.
    """
    actual_gradients, expected_gradients = gradients(actual), gradients(expected)
    assert actual_gradients.keys() == expected_gradients.keys()
    length = torch.stack([value.double().norm() for value in expected_gradients.values()]).norm()
    assert length > 0
    differences = [
        (actual_gradients[name] - value).double().norm()
        for name, value in expected_gradients.items()
    ]
    assert torch.stack(differences).norm() <= tolerance * length


def peak_of_saved_tensors(training: Training) -> int:
    """Return the most bytes that autograd stores at once, without weights."""
    held_bytes = peak_bytes = 0
    weights = {value.data_ptr() for value in training.learners[0].parameters.values()}

    class Saved:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()

    def let_go(size: int) -> None:
        nonlocal held_bytes
        held_bytes -= size

    def pack(tensor: Tensor) -> Saved:
        nonlocal held_bytes, peak_bytes
        saved, size = Saved(tensor), tensor.nbytes
        if tensor.data_ptr() not in weights:
            held_bytes += size
            peak_bytes = max(peak_bytes, held_bytes)
            weakref.finalize(saved, let_go, size)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        run(training)
    assert held_bytes < peak_bytes / 100, "a graph outlives its step"
    return peak_bytes
