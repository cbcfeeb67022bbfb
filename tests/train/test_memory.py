"""A step that does not fit into memory names the size to set, and less memory changes no result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from latte.interfaces import LatteError
from latte.train.training import Training
from tests.helpers.gradients import assert_same_gradients, peak_of_saved_tensors
from tests.helpers.training_engine import SETTINGS, with_settings
from tests.helpers.training_runs import run

pytestmark = pytest.mark.thorough

WHOLE = with_settings(SETTINGS, batch_size=512, max_steps=1)
GPU = torch.OutOfMemoryError("CUDA out of memory")
CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes")


@pytest.mark.parametrize("error", [GPU, CPU, MemoryError()], ids=["GPU", "CPU", "Python"])
@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "--set train.micro_batch_size=7:"),
        ({"batch_size": 8}, "--set train.micro_batch_size=4:"),
        ({"micro_batch_size": 4}, "--set train.micro_batch_size=2:"),
        ({"micro_batch_size": 1}, "--set train.gradient_checkpointing=true:"),
        ({"micro_batch_size": 1, "gradient_checkpointing": True}, "a smaller model"),
    ],
    ids=["the whole set", "a batch", "a micro-batch", "one image", "one image again"],
)
def test_step_that_lacks_memory_names_the_size_to_set(
    make: Callable[..., Training],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    changes: dict[str, Any],
    advice: str,
) -> None:
    def lacks_memory(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr("latte.train.loop.training_step", lacks_memory)
    images = min(changes.get("batch_size", 512), 15)
    with pytest.raises(LatteError, match=rf"does not hold a step on {images} images") as caught:
        run(make(settings=with_settings(WHOLE, **changes)))
    assert caught.value.where == "train.micro_batch_size"
    assert advice in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_other_errors_of_a_step_stay_as_they_are(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> None:
        raise RuntimeError("a slip")

    monkeypatch.setattr("latte.train.loop.training_step", fails)
    with pytest.raises(RuntimeError, match="a slip"):
        run(make(settings=WHOLE))


def test_recomputed_activations_give_equal_gradients_with_less_memory(
    make: Callable[..., Training],
) -> None:
    recomputing = with_settings(WHOLE, gradient_checkpointing=True)
    assert_same_gradients(run(make("a", settings=recomputing)), run(make("b", settings=WHOLE)))
    less = peak_of_saved_tensors(make("c", settings=recomputing))
    assert less < peak_of_saved_tensors(make("d", settings=WHOLE))
