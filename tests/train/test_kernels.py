"""Kernels that a recipe asks for are refused where they cannot work, and change no result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from latte.backbone import compiled, varlen
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from latte.interfaces.settings import TrainSettings
from latte.testing import StubClip
from latte.train import kernels, loop
from latte.train.checkpoint import load_checkpoint
from latte.train.kernels import check_kernels
from latte.train.training import Training
from tests.helpers.training_engine import LAST_BLOCK, SETTINGS, latteclip_part, with_settings
from tests.helpers.training_runs import (
    assert_resumes,
    assert_same_bits,
    outcome,
    reclip_parts,
    run,
)

pytestmark = pytest.mark.thorough

CPU, GPU = torch.device("cpu"), torch.device("cuda")
VARLEN = TrainSettings(text_attention="varlen")


@pytest.fixture
def make(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(name: str, parts: Any = None, **changes: Any) -> Training:
        return make(name, parts=parts, settings=with_settings(SETTINGS, **changes))

    return build


@pytest.fixture
def aot_eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile without a compiler."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    yield
    compiled.forget_compiled()


def assert_close(first: Training, second: Training) -> None:
    one, other = outcome(first), outcome(second)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-5)


class TestRefusals:
    def test_varlen_on_a_cpu(self, tiny_backbone: OpenClipBackbone) -> None:
        with pytest.raises(LatteError, match="needs a CUDA GPU of Nvidia") as caught:
            check_kernels(VARLEN, tiny_backbone, CPU, "bf16")
        assert caught.value.where == "train.text_attention"
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("arithmetic", ["fp32", "tf32"])
    def test_varlen_in_fp32(
        self,
        tiny_backbone: OpenClipBackbone,
        arithmetic: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pretend_gpu(monkeypatch, (8, 0))
        with pytest.raises(LatteError, match=f"has no {arithmetic}"):
            check_kernels(VARLEN, tiny_backbone, GPU, arithmetic)
        check_kernels(VARLEN, tiny_backbone, GPU, "bf16")

    def test_varlen_on_a_gpu_before_ampere(
        self, tiny_backbone: OpenClipBackbone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pretend_gpu(monkeypatch, (7, 5))
        with pytest.raises(LatteError, match="needs a GPU since Ampere"):
            check_kernels(VARLEN, tiny_backbone, GPU, "fp16")

    def test_max_autotune_with_deterministic(self, tiny_backbone: OpenClipBackbone) -> None:
        settings = TrainSettings(compile="max-autotune")
        with pytest.raises(LatteError, match="might not be bit-identical"):
            check_kernels(settings, tiny_backbone, GPU, "bf16", deterministic=True)

    @pytest.mark.usefixtures("aot_eager")
    def test_backbones_without_kernels(self) -> None:
        settings = TrainSettings(compile="default")
        with pytest.raises(LatteError, match="this backbone has neither"):
            check_kernels(settings, StubClip(), CPU, "fp32")
        check_kernels(TrainSettings(), StubClip(), CPU, "fp32")
        check_kernels(TrainSettings(compile="default", max_steps=0), StubClip(), CPU, "fp32")


def pretend_gpu(patch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    patch.setattr(torch.version, "cuda", "12.8")
    patch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


@pytest.mark.usefixtures("aot_eager")
class TestCompiledTrainings:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"micro_batch_size": 3},
            {"gradient_checkpointing": True},
            {"micro_batch_size": "auto"},
            {"augment": None},
        ],
        ids=lambda one: ",".join(one) or "plain",
    )
    def test_results_agree_with_those_of_an_uncompiled_training(
        self, make: Callable[..., Training], changes: dict[str, Any]
    ) -> None:
        plain = run(make("plain", **changes))
        assert_close(plain, run(make("compiled", compile="default", **changes)))

    def test_last_blocks_agree(self, make: Callable[..., Training]) -> None:
        plain = run(make("plain", [latteclip_part(trainable=LAST_BLOCK)]))
        ours = make("compiled", [latteclip_part(trainable=LAST_BLOCK)], compile="default")
        assert_close(plain, run(ours))

    def test_two_learners_agree(self, make: Callable[..., Training]) -> None:
        plain = run(make("plain", reclip_parts()))
        assert_close(plain, run(make("compiled", reclip_parts(), compile="default")))

    def test_resumed_training_has_the_bits_of_an_uninterrupted_one(
        self, make: Callable[..., Training]
    ) -> None:
        assert_resumes(lambda name: make(name, compile="default"), 3)

    def test_checkpoints_fit_trainings_with_and_without_compilation(
        self, make: Callable[..., Training]
    ) -> None:
        trainings = [run(make("plain")), run(make("compiled", compile="default"))]
        for saved, loaded in (trainings, trainings[::-1]):
            folder = saved.folder / "checkpoints"
            assert load_checkpoint(folder, loaded.learners, loaded.labelers) == 7
            assert_same_bits(outcome(saved), outcome(loaded))

    def test_search_for_a_micro_batch_size_compiles_nothing(
        self, make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used: list[str] = []
        find, use = loop.find_micro_batch_size, kernels.use_kernels
        monkeypatch.setattr(
            loop, "find_micro_batch_size", lambda *given: (used.append("search"), find(*given))
        )
        monkeypatch.setattr(loop, "use_kernels", lambda *given: (used.append("use"), use(*given)))
        run(make("run", compile="default", micro_batch_size="auto", max_steps=1))
        assert used == ["search", "use"]


@pytest.mark.usefixtures("aot_eager")
@pytest.mark.parametrize(("mode", "marks"), [("reduce-overhead", 3), ("default", 0), (None, 0)])
def test_steps_with_cuda_graphs_are_marked(
    make: Callable[..., Training],
    monkeypatch: pytest.MonkeyPatch,
    mode: Any,
    marks: int,
) -> None:
    found: list[None] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: found.append(None))
    monkeypatch.setattr(OpenClipBackbone, "use_kernels", lambda self, *given: None)
    run(make("run", compile=mode, max_steps=3))
    assert len(found) == marks


def test_trainings_without_kernels_leave_the_backbone_as_it_is(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(OpenClipBackbone, "use_kernels")
    monkeypatch.setattr(varlen, "kernel", lambda: pytest.fail("by length needs no kernel"))
    training = run(make("run", max_steps=1))
    assert not hasattr(training.learners[0].backbone.model.visual.transformer, compiled._MODE)  # type: ignore[attr-defined]
