"""The arithmetic (fp32, TF32, bf16 or fp16) of the two towers.

Weights are always fp32, because the updates of a step can be smaller than the precision of bf16.
With bf16 and fp16, autocast rounds only the inputs of matrix products.
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
HALF: Mapping[Arithmetic, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}

_FIRST_WITH_TF32 = 8
"""Major CUDA compute capability of Ampere, the first GPUs with TF32."""


def choose_arithmetic(precision: Precision, device: torch.device) -> Arithmetic:
    """Return the arithmetic for the setting `precision` on `device`.

    Raises `LatteError` if `precision` is bf16 and the GPU does not support bf16.
    """
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise LatteError(
            "this GPU does not compute in bf16",
            where="train.precision",
            hint="write `precision: fp16`, or `auto`",
        )
    if precision == "auto" or precision == "tf32":
        return "tf32" if has_tf32(device) else "fp32"
    return precision


def has_tf32(device: torch.device) -> bool:
    """Return True if `device` supports TF32: an Nvidia GPU since Ampere."""
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    return torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_TF32


def forward_in(arithmetic: Arithmetic, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context manager in which a tower's forward pass uses `arithmetic`."""
    if arithmetic in HALF:
        return torch.autocast(device.type, dtype=HALF[arithmetic])
    return backward_in(arithmetic)


def encoding_in(arithmetic: Arithmetic, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context manager for encoding without gradient in `arithmetic`; on a CPU in fp32."""
    return nullcontext() if device.type == "cpu" else forward_in(arithmetic, device)


def arithmetic_identity(arithmetic: Arithmetic, device: torch.device) -> tuple[str, ...]:
    """Return what features depend on beside model and images: GPU and arithmetic; on a CPU nothing.

    A CPU encodes in fp32 with every setting.
    """
    if device.type == "cpu":
        return ()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return (name, arithmetic)


def backward_in(arithmetic: Arithmetic) -> AbstractContextManager[Any]:
    """Return a context manager in which the backward pass uses `arithmetic`.

    For bf16 and fp16 it does nothing, because autograd has recorded the casts of autocast.
    """
    if arithmetic in HALF:
        return nullcontext()
    return fp32_products("tf32" if arithmetic == "tf32" else "ieee")


@contextmanager
def fp32_products(mode: Literal["ieee", "tf32"]) -> Iterator[None]:
    """Make CUDA multiply and convolve fp32 tensors in fp32 (`ieee`) or TF32 in the `with` block."""
    modes = _read_modes()
    try:
        _write_modes((mode, mode, mode))
        yield
    finally:
        _write_modes(modes)


_Modes = tuple[str, str, str]
"""Torch's modes of fp32 products: of matrices, of convolutions, and of recurrent layers."""


def _read_modes() -> _Modes:
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):
        conv, rnn = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
        return matmul.fp32_precision, conv, rnn
    tf32_flags = (matmul.allow_tf32, cudnn.allow_tf32)
    matmul_mode, cudnn_mode = ("tf32" if is_allowed else "ieee" for is_allowed in tf32_flags)
    return matmul_mode, cudnn_mode, cudnn_mode


def _write_modes(modes: _Modes) -> None:
    """Set torch's modes for fp32 products, under old names and (since torch 2.9) new names."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    matmul.allow_tf32, cudnn.allow_tf32 = (mode == "tf32" for mode in modes[:2])
    if hasattr(matmul, "fp32_precision"):
        matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = modes


class LossScaler(torch.amp.GradScaler):
    """Multiplies the loss by a factor so that small fp16 gradients do not become 0.

    If a gradient is not finite, the step is skipped and the factor is halved. After 2000 successive
    steps with finite gradients, the factor is doubled. The scaler is active for fp16 only.
    """

    def __init__(self, arithmetic: Arithmetic, device: torch.device) -> None:
        super().__init__(device.type, enabled=arithmetic == "fp16")
        self.skipped: int = 0

    def take_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take a step of `optimizer`, unless a gradient is not finite."""
        scale = self.get_scale()
        self.step(optimizer)
        self.update()
        self.skipped += self.get_scale() < scale

    def figures(self) -> dict[str, float]:
        """Return the factor and the number of skipped steps, for the log; empty if inactive."""
        if not self.is_enabled():
            return {}
        return {"loss_scale": self.get_scale(), "skipped_steps": self.skipped}

    def state(self) -> dict[str, Tensor]:
        """Return the scaler's tensors for a checkpoint; empty if inactive."""
        if not self.is_enabled():
            return {}
        state = self.state_dict()
        return {
            "scale": torch.tensor(state["scale"], dtype=torch.float64),
            "steps_since_change": torch.tensor(state["_growth_tracker"]),
            "skipped": torch.tensor(self.skipped),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors of `state`. Raises `KeyError` if they were not saved with fp16."""
        if not self.is_enabled():
            return
        scaler_state = self.state_dict()
        scaler_state["scale"] = state["scale"].item()
        scaler_state["_growth_tracker"] = int(state["steps_since_change"])
        self.load_state_dict(scaler_state)
        self.skipped = int(state["skipped"])
