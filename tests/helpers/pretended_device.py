"""A pretended accelerator in pure Python: its tensors say `pretended:0` and hold CPU tensors.

An operation that mixes its tensors with CPU tensors raises an error, as on a GPU. Launches are
counted by operation, and operations for which the host waits by the line of latte that causes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks.measuring import line_of_latte

DEVICE = "pretended"
available = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
"""False for a torch whose devices need C++."""

_aten = torch.ops.aten
_WITHOUT_LAUNCH = ("empty", "empty_like", "empty_strided", "new_empty", "set_", "_unsafe_view")
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
_WAITING = (
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
)
"""Operations whose result, or its size, is read by the host."""


class MixedDevicesError(RuntimeError):
    """An operation got tensors of the CPU and of the pretended device."""


@dataclass
class Counts:
    """Operations since the last `reset`, by the line of latte: `latte/train/step.py:10`."""

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    """Operations for which the host waits, with their name."""

    def reset(self) -> None:
        self.launches.clear()
        self.waits.clear()


_counts = Counts()


class Pretended(Tensor):
    """A tensor on the pretended device."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        wrapper: Pretended = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            dtype=held.dtype,
            device=torch.device(DEVICE, 0),
        )
        wrapper.held = held
        return wrapper

    def tolist(self) -> Any:
        _wait("tolist")
        return self.held.tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        twin: Tensor = Pretended(self.held.detach().clone())
        if isinstance(self, nn.Parameter):
            twin = nn.Parameter(twin, self.requires_grad)
        memo[id(self)] = twin
        return twin

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


class _Device(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[Counts]:
    """Run a block in which the device `pretended` exists.

    The process must not have computed a gradient before, and keeps torch's changes.
    """
    _register()
    _counts.reset()
    functional.scaled_dot_product_attention = _attention
    torch.inference_mode = lambda mode=True: torch.no_grad()  # type: ignore[assignment, misc]
    torch._C._set_only_lift_cpu_tensors(True)  # so that `torch.tensor(..., device=...)` is seen
    with _Device():
        yield _counts


def to_device(module: nn.Module) -> None:
    """Move the weights and buffers of `module` to the pretended device."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(Pretended(weight.data), weight.requires_grad)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = Pretended(value)
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                setattr(part, name, Pretended(value))


def _run(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = function._overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    device_tensors = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    cpu_tensors = [tensor for tensor in tensors if not isinstance(tensor, Pretended)]
    target_device = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
    if target_device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if device_tensors or target_device == DEVICE:
        _count(function, name, args, kwargs, device_tensors, cpu_tensors, target_device)
    held = {id(tensor.held): tensor for tensor in device_tensors}
    out = function(*tree_map(_held, args), **tree_map(_held, kwargs))
    on_device = target_device == DEVICE if target_device is not None else bool(device_tensors)
    if name == "copy_":
        on_device = isinstance(args[0], Pretended)

    def wrapped(value: Any) -> Any:
        if not on_device or not isinstance(value, Tensor) or isinstance(value, Pretended):
            return value
        return held[id(value)] if id(value) in held else Pretended(value)

    return tree_map(wrapped, out)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _count(
    function: Any,
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    device_tensors: Sequence[Tensor],
    cpu_tensors: Sequence[Tensor],
    target_device: str | None,
) -> None:
    """Count one operation that uses the device, or raise an error if it mixes devices."""
    if name in ("_to_copy", "copy_"):
        blocking = not (kwargs.get("non_blocking") or (name == "copy_" and args[2:] and args[2]))
        leaves = target_device == "cpu" or (name == "copy_" and not isinstance(args[0], Pretended))
        arrives = bool(cpu_tensors) and not leaves
        if leaves or (arrives and blocking):
            _wait("copy to the host" if leaves else "blocking copy to the device")
    elif cpu_tensors and device_tensors and not _allowed(function, name, args, cpu_tensors):
        raise MixedDevicesError(f"{name} mixes devices at {line_of_latte()}")
    if name in _WAITING or _has_mask(name, args):
        _wait(name)
    is_view = getattr(function, "is_view", False)
    if not is_view and name not in (*_WITHOUT_LAUNCH, "_local_scalar_dense"):
        _counts.launches[line_of_latte()] += 1


def _allowed(function: Any, name: str, args: Sequence[Any], cpu_tensors: Sequence[Tensor]) -> bool:
    """Return True if a GPU accepts CPU tensors here: scalars, and indices, for which it waits."""
    if name in _INDEXING and isinstance(args[0], Pretended):
        if any(
            isinstance(indices, Tensor) and not isinstance(indices, Pretended)
            for indices in args[1]
        ):
            _wait(f"{name} with indices on the CPU")
        return True
    return all(tensor.ndim == 0 for tensor in cpu_tensors) and (
        torch.Tag.pointwise in function.tags or name.startswith(("_foreach", "fill", "where"))
    )


def _has_mask(name: str, args: Sequence[Any]) -> bool:
    return name in _INDEXING and any(
        isinstance(indices, Tensor) and indices.dtype == torch.bool for indices in args[1]
    )


def _wait(operation: str) -> None:
    _counts.waits[f"{operation} at {line_of_latte()}"] += 1


class _Attention(torch.autograd.Function):
    """Fused attention: one launch forward; backward two, in half precision three."""

    @staticmethod
    def forward(ctx: Any, plain: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.plain = plain
        _counts.launches[line_of_latte()] += 1
        return Pretended(plain(*map(_held, inputs)))

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        inputs = [tensor.held.detach().requires_grad_() for tensor in ctx.saved_tensors]
        _counts.launches[line_of_latte()] += 2 if inputs[0].dtype == torch.float32 else 3
        with torch.enable_grad():
            out = ctx.plain(*inputs)
        return None, *map(Pretended, torch.autograd.grad(out, inputs, gradient.held))


_plain_attention: Callable[..., Tensor] = functional.scaled_dot_product_attention


def _attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    if not isinstance(queries, Pretended):
        return _plain_attention(queries, keys, values, attn_mask, dropout_p, is_causal, **options)
    if torch.is_autocast_enabled(DEVICE):
        dtype = torch.get_autocast_dtype(DEVICE)
        queries, keys, values = (projection.to(dtype) for projection in (queries, keys, values))
    assert attn_mask is None and not dropout_p and not options, "latte's attention has no mask"
    plain = partial(_plain_attention, is_causal=is_causal)
    return _Attention.apply(plain, queries, keys, values)  # type: ignore[no-any-return, no-untyped-call]


@cache
def _register() -> list[Any]:
    """Register the device and its autocast, once per process; the libraries must stay alive."""

    class Module(backend_registration._DummyBackendModule):  # type: ignore[misc]
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

        def get_rng_state(self, device: object) -> Tensor:
            return torch.empty(0)

        def set_rng_state(self, state: Tensor, device: object) -> None:
            pass

    backend_registration._setup_privateuseone_for_python_backend(DEVICE, backend_module=Module())
    fallthrough = torch.library.Library("_", "IMPL")
    fallthrough.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    casts = torch.library.Library("aten", "IMPL")
    for function in (_aten.linear, _aten.matmul, _aten.conv2d):
        _add_cast(casts, function.default, None)
    for function in (_aten.layer_norm.default, _aten.softmax.int, _aten.log_softmax.int):
        _add_cast(casts, function, torch.float32)
    return [fallthrough, casts]


def _add_cast(library: Any, function: Any, dtype: torch.dtype | None) -> None:
    """Cast the inputs of `function` under autocast to `dtype`; None is the dtype of autocast."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype or torch.get_autocast_dtype(DEVICE))
        return value

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return function(*tree_map(cast, args), **tree_map(cast, kwargs))

    library.impl(function, kernel, "AutocastPrivateUse1")
