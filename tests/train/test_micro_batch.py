"""Micro-batches are as large as memory allows, and change results only by rounding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from latte.train import micro_batch
from latte.train.free_memory import free_memory
from latte.train.learner import Learner
from latte.train.loop import train
from latte.train.micro_batch import (
    LargestStep,
    _largest_size,
    activation_bytes,
    find_micro_batch_size,
    largest_step,
)
from latte.train.training import Training
from tests.helpers.gradients import assert_same_gradients, peak_of_saved_tensors
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import SETTINGS, latteclip_part, with_settings
from tests.helpers.training_runs import run

pytestmark = pytest.mark.thorough

AUTO = with_settings(SETTINGS, batch_size=15, max_steps=1, micro_batch_size="auto")


@pytest.fixture
def make(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(name: str = "run", **changes: Any) -> Training:
        return make(name, **{"settings": AUTO, **changes})

    return build


def free(monkeypatch: pytest.MonkeyPatch, bytes_left: float | None) -> None:
    monkeypatch.setattr(micro_batch, "free_memory", lambda: bytes_left)


def needed(training: Training, size: int | None) -> float:
    """Least free memory with which parts of `size` fit."""
    (learner,) = training.learners
    low, high = 0.0, 1e12
    fits = micro_batch._attempts(learner, largest_step(training, learner))
    with pytest.MonkeyPatch.context() as patch:
        while high - low > 1024:
            middle = (low + high) / 2
            free(patch, middle)
            low, high = (low, middle) if fits(size) else (middle, high)
    return high


@pytest.mark.parametrize("left", [None, 1e12])
def test_batch_that_fits_is_not_split(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, left: float | None
) -> None:
    free(monkeypatch, left)
    training, progress = make(), RecordedProgress()
    train(training, progress)
    assert training.learners[0].micro_batch_size is None
    assert not [line for line in progress.lines if "fit" in line]


def test_batch_that_does_not_fit_is_split_with_equal_gradients(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, needed(make("look"), 4))
    training, progress = make("parts"), RecordedProgress()
    train(training, progress)
    size = training.learners[0].micro_batch_size
    assert size is not None
    assert size <= 6
    (line,) = [line for line in progress.lines if "fit" in line]
    assert f"15 images does not fit into memory at once, so {size} images or texts" in line
    whole = run(make("whole", settings=with_settings(AUTO, micro_batch_size=None)))
    assert_same_gradients(training, whole)


def test_activations_are_recomputed_only_if_one_image_does_not_fit(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    recomputing = make("look again")
    recomputing.learners[0].backbone.recompute_activations()
    enough, less = needed(make("look"), 1), needed(recomputing, 1)
    for name, left, again in (("fits", enough, False), ("does not", (enough + less) / 2, True)):
        free(monkeypatch, left)
        training, progress = make(name), RecordedProgress()
        train(training, progress)
        said = [line for line in progress.lines if "computes activations again" in line]
        assert bool(said) == again
        (learner,) = training.learners
        assert isinstance(learner.backbone, OpenClipBackbone)
        assert learner.backbone.model.transformer.grad_checkpointing == again


def test_error_if_one_image_does_not_fit(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1)
    with pytest.raises(LatteError, match="does not hold one image"):
        run(make())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_hint_names_the_batch_size_where_its_views_are_tried(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    training = make()
    monkeypatch.setattr(Learner, "device", torch.device(device))
    monkeypatch.setattr(micro_batch, "_attempts", lambda *given: lambda size: False)
    with pytest.raises(LatteError, match="does not hold one image") as caught:
        find_micro_batch_size(training, RecordedProgress())
    assert ("train.batch_size" in str(caught.value.hint)) == (device == "cuda")


def test_recomputed_activations_give_equal_gradients_with_less_memory(
    make: Callable[..., Training],
) -> None:
    plain = with_settings(AUTO, micro_batch_size=None, gradient_checkpointing=False)
    again = with_settings(plain, gradient_checkpointing=True)
    assert_same_gradients(run(make("a", settings=again)), run(make("b", settings=plain)))
    less = peak_of_saved_tensors(make("c", settings=again))
    assert less < peak_of_saved_tensors(make("d", settings=plain))


def test_resumed_training_uses_no_larger_micro_batches(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, needed(make("look"), 4))
    progress = RecordedProgress()
    training = make()
    find_micro_batch_size(training, progress)
    size = training.learners[0].micro_batch_size
    free(monkeypatch, 1e12)
    again = make()
    find_micro_batch_size(again, progress)
    assert again.learners[0].micro_batch_size == size is not None
    other = make("other")
    find_micro_batch_size(other, progress)
    assert other.learners[0].micro_batch_size is None
    record = json.loads((training.folder / "checkpoints" / "fitting.json").read_text())
    assert record == {"main": {"micro_batch_size": size, "gradient_checkpointing": False}}


def test_batch_size_auto_splits_the_published_batch(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_settings(AUTO, batch_size="auto", micro_batch_size=None)
    assert settings.images_a_step == 512
    free(monkeypatch, needed(make("look"), 4))
    training = run(make(settings=settings))
    assert training.steps_per_epoch == 1
    assert training.learners[0].micro_batch_size is not None


def test_sizes_are_halved_until_one_fits() -> None:
    tried: list[int | None] = []

    def fits(size: int | None) -> bool:
        tried.append(size)
        return size is not None and size <= 25

    assert _largest_size(fits, LargestStep(100, []), None) == 25
    assert tried == [None, 50, 25]
    assert _largest_size(fits, LargestStep(100, []), 13) == 13
    assert _largest_size(lambda size: size == 1, LargestStep(100, ["text"] * 300), None) == 1
    assert _largest_size(lambda size: False, LargestStep(0, []), None) == 0


def try_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempts(*given: Any) -> Callable[[int | None], bool]:
        return lambda size: micro_batch._fits_on_gpu(*given, size)

    card = SimpleNamespace(total_memory=2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(micro_batch, "_attempts", attempts)


def test_out_of_memory_error_halves_the_micro_batch(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tower raises the error of a GPU's allocator."""
    encode = OpenClipBackbone.encode_images

    def small(self: OpenClipBackbone, pixels: Tensor) -> Tensor:
        if len(pixels) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, pixels)

    training = make()
    monkeypatch.setattr(OpenClipBackbone, "encode_images", small)
    try_as_on_a_gpu(monkeypatch)
    run(training)
    assert training.learners[0].micro_batch_size == 5


@pytest.mark.parametrize(
    ("micro", "hint"), [(None, "micro_batch_size: auto"), ("auto", "goes on from the last")]
)
def test_out_of_memory_in_a_step_raises_latte_error(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, micro: Any, hint: str
) -> None:
    free(monkeypatch, None)
    training = make(settings=with_settings(AUTO, micro_batch_size=micro))

    def out_of_memory(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("latte.train.loop.training_step", out_of_memory)
    with pytest.raises(LatteError, match="does not hold a step on 15 images") as raised:
        run(training)
    assert hint in str(raised.value.hint)


def test_largest_step_has_the_longest_texts(make: Callable[..., Training]) -> None:
    training = make()
    (learner,) = training.learners
    worst = largest_step(training, learner)
    assert worst.images == 15
    lengths = [len(text) for text in worst.texts]
    assert lengths == sorted(lengths, reverse=True)
    assert set(worst.texts) <= set(training.inputs.bank.unique_texts)


def test_attempts_leave_no_gradients_and_restore_random_state(
    make: Callable[..., Training],
) -> None:
    (learner,) = make().learners
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    held: Sequence[int] = [
        activation_bytes(learner, LargestStep(n, ["a photo"] * n)) for n in (1, 2)
    ]
    assert held[0] < held[1]
    assert torch.equal(torch.rand(1), expected)
    assert all(value.grad is None for value in learner.parameters.values())


def test_frozen_towers_store_no_activations(make: Callable[..., Training]) -> None:
    (learner,) = make(parts=[latteclip_part(trainable="text_layer_norms")]).learners
    assert activation_bytes(learner, LargestStep(2, [])) == 0


GIB = 2**30


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    return write(tmp_path / "meminfo", f"MemTotal: 9 kB\nMemAvailable:   {8 * GIB // 1024} kB\n")


def test_free_memory_without_control_groups_is_that_of_the_machine(
    meminfo: Path, tmp_path: Path
) -> None:
    assert free_memory(meminfo, tmp_path / "none", tmp_path / "groups") == 8 * GIB


def test_free_memory_is_that_of_the_tightest_control_group(meminfo: Path, tmp_path: Path) -> None:
    groups, own = tmp_path / "groups", write(tmp_path / "own", "0::/jobs/mine\n")
    write(groups / "jobs" / "memory.max", f"{4 * GIB}\n")
    write(groups / "jobs" / "memory.current", f"{3 * GIB}\n")
    write(groups / "jobs" / "memory.stat", f"anon 5\ninactive_file {GIB}\n")
    write(groups / "jobs" / "mine" / "memory.max", "max\n")
    write(groups / "jobs" / "mine" / "memory.current", "77\n")
    assert free_memory(meminfo, own, groups) == 2 * GIB


def test_free_memory_reads_control_groups_version_1(meminfo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    own = write(tmp_path / "own", "9:name=systemd:/\n4:memory:/job\n0::/\n")
    write(groups / "memory" / "job" / "memory.limit_in_bytes", f"{5 * GIB}\n")
    write(groups / "memory" / "job" / "memory.usage_in_bytes", f"{2 * GIB}\n")
    write(groups / "memory" / "memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(groups / "memory" / "memory.usage_in_bytes", "1\n")
    assert free_memory(meminfo, own, groups) == 3 * GIB


def test_free_memory_of_a_group_above_its_limit_is_zero(meminfo: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own", "0::/\n")
    write(tmp_path / "groups" / "memory.max", "10\n")
    write(tmp_path / "groups" / "memory.current", "11\n")
    assert free_memory(meminfo, own, tmp_path / "groups") == 0


def test_free_memory_is_none_if_unknown(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert free_memory(nowhere, nowhere, nowhere) is None
