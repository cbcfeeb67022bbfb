"""Arithmetic of the towers: weights stay fp32, so that small updates are not lost."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from latte.backbone import precision
from latte.backbone.precision import (
    LossScaler,
    backward_in,
    choose_arithmetic,
    encoding_in,
    forward_in,
    fp32_products,
)
from latte.interfaces import LatteError
from latte.interfaces.settings import OptimizerSettings
from latte.interfaces.settings import Precision as Wanted
from latte.train.training import Training
from tests.helpers.training_engine import SETTINGS, with_settings
from tests.helpers.training_runs import StoppedError, assert_resumes, metrics, outcome, run

pytestmark = pytest.mark.thorough

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PUBLISHED_RATE = 1e-7


@pytest.fixture
def make(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(name: str, precision: Wanted, **changes: Any) -> Training:
        return make(name, settings=with_settings(SETTINGS, precision=precision, **changes))

    return build


@pytest.mark.parametrize("precision", ["auto", "tf32", "fp32"])
def test_a_cpu_computes_in_fp32_unless_fewer_bits_are_asked_for(precision: Wanted) -> None:
    assert choose_arithmetic(precision, CPU) == "fp32"
    assert choose_arithmetic("bf16", CPU) == "bf16"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "tf32")])
def test_auto_is_tf32_on_gpus_that_have_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert choose_arithmetic("auto", GPU) == expected
    assert choose_arithmetic("tf32", GPU) == expected
    assert choose_arithmetic("fp32", GPU) == "fp32"


def test_bf16_on_a_gpu_without_it_raises_error_with_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(LatteError, match="does not compute in bf16") as caught:
        choose_arithmetic("bf16", GPU)
    assert "fp16" in (caught.value.hint or "")
    assert choose_arithmetic("fp16", GPU) == "fp16"


def older_names() -> tuple[bool, bool, str]:
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return *allowed, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(("mode", "allowed"), [("tf32", True), ("ieee", False)])
def test_mode_of_fp32_products_is_set_and_restored_under_both_names(
    mode: Literal["ieee", "tf32"], allowed: bool
) -> None:
    modes, names = precision._read_modes(), older_names()
    with pytest.raises(StoppedError), fp32_products(mode):
        assert precision._read_modes() == (mode, mode, mode)
        assert older_names() == (allowed, allowed, "high" if allowed else "highest")
        raise StoppedError
    assert precision._read_modes() == modes
    assert older_names() == names


def test_both_passes_in_fp32_round_no_convolution_to_tf32() -> None:
    assert torch.backends.cudnn.allow_tf32
    for context in (forward_in("fp32", GPU), backward_in("fp32")):
        with context:
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32


def test_a_gpu_encodes_in_the_runs_arithmetic_and_a_cpu_in_fp32() -> None:
    with encoding_in("tf32", GPU):
        assert torch.backends.cuda.matmul.allow_tf32
    with encoding_in("bf16", CPU):
        assert not torch.is_autocast_enabled("cpu")


def test_modes_of_fp32_products_in_older_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    old = SimpleNamespace(
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)),
        cudnn=SimpleNamespace(allow_tf32=True),
    )
    monkeypatch.setattr(torch, "backends", old)
    with fp32_products("tf32"):
        assert old.cuda.matmul.allow_tf32
    with fp32_products("ieee"):
        assert not old.cudnn.allow_tf32
    assert not old.cuda.matmul.allow_tf32
    assert old.cudnn.allow_tf32


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_prototypes_and_optimiser_state_are_fp32_in_any_arithmetic(
    make: Callable[..., Training], precision: Wanted
) -> None:
    training = run(make("run", precision))
    assert {value.dtype for value in outcome(training).values()} == {torch.float32}
    plain = run(make("plain", "fp32"))
    rounded, exact = (metrics(each)[0]["loss"] for each in (training, plain))
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.01)


def moved(training: Training, steps: int = 8) -> dict[str, Tensor]:
    """Change of each weight matrix in a training."""
    (learner,) = training.learners
    weights_before = {name: value.detach().clone() for name, value in learner.parameters.items()}
    run(training)
    assert training.total_steps == steps
    return {
        name: learner.parameters[name].detach() - value for name, value in weights_before.items()
    }


SMALL: dict[str, Any] = {
    "optimizer": OptimizerSettings(learning_rate=PUBLISHED_RATE, weight_decay=0.0),
    "schedule": "constant",
    "warmup_steps": 0,
    "max_steps": 8,
    "batch_size": 15,
    "augment": None,
}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_updates_at_published_learning_rate_equal_fp32_updates(
    make: Callable[..., Training], precision: Wanted
) -> None:
    training = make("rounded", precision, **SMALL)
    exact, rounded = moved(make("fp32", "fp32", **SMALL)), moved(training)
    share_taken = 1 - training.learners[0].scaler.skipped / 8
    assert share_taken > 0.8
    for tower in ("visual.transformer.resblocks.0.mlp.c_fc.weight", "visual.proj"):
        cosine = torch.cosine_similarity(
            exact[tower].flatten().double(), rounded[tower].flatten().double(), dim=0
        )
        assert cosine > 0.9
        assert rounded[tower].norm() == pytest.approx(
            share_taken * exact[tower].norm().item(), rel=0.1
        )


def test_bf16_weights_would_not_change() -> None:
    """Why they are not: what the tests above see would be rounded away in each step."""
    exact = nn.Parameter(torch.full((16,), 0.05))
    short = nn.Parameter(torch.full((16,), 0.05, dtype=torch.bfloat16))
    start = short.detach().clone()
    for weight in (exact, short):
        optimizer = torch.optim.AdamW([weight], lr=PUBLISHED_RATE, weight_decay=0.0)
        for _ in range(50):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert (exact.detach() - 0.05).abs().min() > 40 * PUBLISHED_RATE
    assert torch.equal(short.detach(), start)


class TestScaledLosses:
    def test_overflowing_step_is_skipped_and_counted(self) -> None:
        weight = nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
        scaler = LossScaler("fp16", CPU)
        for factor in (float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale((weight * factor).sum()).backward()  # type: ignore[no-untyped-call]
            weight_before = weight.detach().clone()
            scaler.take_step(optimizer)
            assert torch.equal(weight, weight_before) == (factor != 1.0)
        assert scaler.figures() == {"loss_scale": 32768.0, "skipped_steps": 1}

    def test_gradient_clipping_is_independent_of_loss_scale(
        self, make: Callable[..., Training]
    ) -> None:
        clipped = {
            **SMALL,
            "optimizer": OptimizerSettings(
                name="sgd", learning_rate=1.0, weight_decay=0.0, momentum=0.0, gradient_clip=1e-3
            ),
            "max_steps": 1,
        }
        training = make("run", "fp16", **clipped)
        low_enough_for_the_first_step = {"scale": 2.0**10, "steps_since_change": 0, "skipped": 0}
        training.learners[0].scaler.load_state(
            {name: torch.tensor(value) for name, value in low_enough_for_the_first_step.items()}
        )
        steps = moved(training, steps=1)
        length = torch.stack([value.norm() for value in steps.values()]).norm()
        assert length == pytest.approx(1e-3, rel=1e-2)

    def test_scaler_is_inactive_in_other_arithmetics(self) -> None:
        scaler = LossScaler("bf16", CPU)
        loss = torch.tensor(2.0)
        assert scaler.scale(loss) is loss
        assert scaler.figures() == {}
        assert scaler.state() == {}

    @pytest.mark.parametrize("stop_after", [2, 5])
    def test_resume_gives_identical_bits(
        self, make: Callable[..., Training], stop_after: int
    ) -> None:
        resumed = assert_resumes(lambda name: make(name, "fp16"), stop_after)
        last_step = [row for row in metrics(resumed) if row["event"] == "step"][-1]
        assert last_step["skipped_steps"] > 0, "a scale that never changes proves nothing"
        assert last_step["loss_scale"] == 65536 / 2 ** last_step["skipped_steps"]
