"""Optional faster kernels for a GPU: attention in one call for all texts, and compiled blocks.

Both are off by default, and not part of the plugin interface, because their benefit has not been
measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from latte.backbone import compiled, varlen
from latte.interfaces import Backbone, LatteError
from latte.interfaces.settings import CompileMode, TextAttention, TrainSettings
from latte.train.learner import Learner
from latte.train.precision import Arithmetic


@runtime_checkable
class Accelerated(Protocol):
    """A backbone that can switch to faster kernels."""

    def check_kernels(self, text_attention: TextAttention, mode: CompileMode | None) -> None:
        """Raise `LatteError` if this model cannot use the requested kernels."""

    def use_kernels(self, text_attention: TextAttention, mode: CompileMode | None) -> None:
        """Use the requested kernels in later passes of this model, but not in existing copies."""


def asks_for_kernels(settings: TrainSettings) -> bool:
    """Return True if the settings request optional kernels and there are training steps."""
    asked = settings.text_attention != "by_length" or settings.compile is not None
    return asked and settings.takes_steps


def check_kernels(
    settings: TrainSettings,
    backbone: Backbone,
    device: torch.device,
    arithmetic: Arithmetic,
    *,
    deterministic: bool = False,
) -> None:
    """Raise `LatteError` if the kernels that the settings request cannot work on this machine."""
    if not asks_for_kernels(settings):
        return
    if settings.text_attention == "varlen":
        varlen.check_device(device)
        if arithmetic not in ("bf16", "fp16"):
            raise LatteError(
                f"torch's kernel for `varlen` has no {arithmetic}",
                where="train.text_attention",
                hint="write `precision: bf16` or `fp16`, or `text_attention: by_length`",
            )
    if settings.compile is not None:
        if settings.compile == "max-autotune" and deterministic:
            raise LatteError(
                "`max-autotune` chooses kernels by their measured speed, so runs might not be "
                "bit-identical",
                where="train.compile",
                hint="write `compile: default`, or remove `deterministic`",
            )
        compiled.check_compiler(device, settings.compile)
    if not isinstance(backbone, Accelerated):
        raise LatteError(
            "this backbone has neither `text_attention: varlen` nor `compile`",
            where="train",
            hint="remove both keys",
        )
    backbone.check_kernels(settings.text_attention, settings.compile)


def use_kernels(settings: TrainSettings, learners: Sequence[Learner]) -> None:
    """Switch the learners' backbones to the kernels that the settings request.

    Call this function after the search for a micro-batch size. Otherwise CUDA graphs of sizes that
    do not fit would keep their memory.
    """
    if not asks_for_kernels(settings):
        return
    if settings.compile is not None:
        compiled.forget_compiled()
    for learner in learners:
        # Computed here, by passes of a single image and a single text: not worth compiling.
        _ = learner.image_tower_is_trained, learner.text_tower_is_trained
        assert isinstance(learner.backbone, Accelerated), "see `check_kernels`"
        learner.backbone.use_kernels(settings.text_attention, settings.compile)
        learner.records_graphs = settings.compile in ("reduce-overhead", "max-autotune")
