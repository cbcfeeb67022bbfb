"""Choice of the replicas' devices and of the data type."""

from __future__ import annotations

import os

import torch

from latte.api import LatteError
from latte_llava.options import LlavaOptions


def choose_devices(options: LlavaOptions, run_device: str) -> list[str]:
    """Return one device per replica; raise `LatteError` if this machine lacks a device."""
    if options.devices != "auto":
        if not options.devices:
            raise LatteError("`devices` names none", where="describer.devices")
        for name in options.devices:
            _check(name)
        return options.devices[:1] if options.placement == "spread" else list(options.devices)
    gpus = torch.cuda.device_count() if run_device.startswith("cuda") else 0
    if gpus == 0 or options.placement == "spread":
        return [run_device]
    if (rank := os.environ.get("LOCAL_RANK", "")).isdigit():
        # torchrun started one process per GPU, so each process uses its own GPU.
        return [f"cuda:{int(rank) % gpus}"]
    return [f"cuda:{index}" for index in range(gpus)]


def choose_dtype(options: LlavaOptions, devices: list[str]) -> str:
    """Return the torch name of the data type of weights and activations."""
    if options.dtype != "auto":
        return options.dtype
    kinds = {torch.device(name).type for name in devices}
    if kinds == {"cpu"}:
        return "float32"
    if kinds == {"cuda"} and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "float16"


def _check(name: str) -> None:
    gpus = [f", cuda:{index}" for index in range(torch.cuda.device_count())]
    hint = f"this machine has cpu{''.join(gpus)}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LatteError(f"`{name}` is no device", where="describer.devices", hint=hint) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LatteError(f"there is no `{name}`", where="describer.devices", hint=hint)
