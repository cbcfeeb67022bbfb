"""In which arithmetic the two towers compute. Weights, labels, prototypes and losses are fp32.

At the published learning rate a step moves a weight by less than bf16 can tell from it, so weights
are never stored in fewer bits: autocast rounds what goes into a product, not what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from latte.interfaces import LatteError
from latte.interfaces.settings import Precision

Arithmetic = Literal["fp32", "tf32", "bf16", "fp16"]

_FIRST_WITH_TF32 = 8
"""CUDA compute capability of Ampere."""


def choose_arithmetic(wanted: Precision, device: torch.device) -> Arithmetic:
    """What `wanted` means on `device`: `auto` and `tf32` are fp32 where there is no TF32.

    Raises:
        LatteError: for bf16 on a GPU that cannot compute in it.
    """
    if wanted == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise LatteError(
            "this GPU does not compute in bf16",
            where="train.precision",
            hint="write `precision: fp16`, or `auto`",
        )
    match wanted:
        case "auto" | "tf32":
            return "tf32" if has_tf32(device) else "fp32"
        case chosen:
            return chosen


def has_tf32(device: torch.device) -> bool:
    """Whether `device` multiplies fp32 matrices as TF32: Nvidia's GPUs since Ampere."""
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    return torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_TF32


def forward_in(arithmetic: Arithmetic, device: torch.device) -> AbstractContextManager[Any]:
    """Around a tower's forward pass."""
    match arithmetic:
        case "fp32":
            return nullcontext()
        case "tf32":
            return tf32_products()
        case "bf16":
            return torch.autocast(device.type, dtype=torch.bfloat16)
        case "fp16":
            return torch.autocast(device.type, dtype=torch.float16)


def backward_in(arithmetic: Arithmetic) -> AbstractContextManager[Any]:
    """Around `backward`: autocast has recorded its casts, TF32 has to be switched on again."""
    return tf32_products() if arithmetic == "tf32" else nullcontext()


@contextmanager
def tf32_products() -> Iterator[None]:
    """CUDA multiplies and convolves fp32 as TF32 here, and as before after that."""
    switches = _switches()
    before = [getattr(module, name) for module, name, _ in switches]
    try:
        for module, name, on in switches:
            setattr(module, name, on)
        yield
    finally:
        for (module, name, _), value in zip(switches, before, strict=True):
            setattr(module, name, value)


def _switches() -> list[tuple[Any, str, Any]]:
    """What torch 2.9 renamed; it refuses to have both names used."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):
        return [(matmul, "fp32_precision", "tf32"), (cudnn.conv, "fp32_precision", "tf32")]
    return [(matmul, "allow_tf32", True), (cudnn, "allow_tf32", True)]


class LossScaler:
    """Keeps small fp16 gradients from becoming 0; does nothing in other arithmetics.

    The loss is multiplied, the gradients are divided. A step whose gradients are not finite is
    skipped, and the factor halved; after 2000 steps without any it is doubled.
    """

    def __init__(self, arithmetic: Arithmetic, device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(device.type, enabled=arithmetic == "fp16")
        self.skipped = 0
        """Steps so far that changed no weight."""

    @property
    def enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._scaler.is_enabled()

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        return self._scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients, once a step and before they are clipped."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """A step of `optimizer`, unless a gradient is not finite."""
        before = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        self.skipped += self._scaler.get_scale() < before

    def figures(self) -> dict[str, float]:
        """For the log of steps; nothing where nothing is scaled."""
        if not self.enabled:
            return {}
        return {"loss_scale": self._scaler.get_scale(), "skipped_steps": self.skipped}

    def state(self) -> dict[str, Tensor]:
        """For checkpoints; nothing where nothing is scaled."""
        if not self.enabled:
            return {}
        state = self._scaler.state_dict()
        return {
            "scale": torch.tensor(state["scale"], dtype=torch.float64),
            "steps_since_change": torch.tensor(state["_growth_tracker"]),
            "skipped": torch.tensor(self.skipped),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned. Raises `KeyError` for another arithmetic's."""
        if not self.enabled:
            return
        kept = self._scaler.state_dict()
        kept["scale"] = state["scale"].item()
        kept["_growth_tracker"] = int(state["steps_since_change"])
        self._scaler.load_state_dict(kept)
        self.skipped = int(state["skipped"])
