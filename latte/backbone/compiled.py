"""Compile blocks of a transformer with torch.compile.

Functions are compiled, not modules, so names of weights do not change. All blocks of a tower share
one compiled function. Each tensor shape is compiled separately, because a kernel for many shapes
would depend on the first shape. A resumed run may start with another shape, so it might not be
bit-identical. Compiled blocks have not been tested on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.interfaces.settings import CompileMode

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

BACKEND = "inductor"
_MOST_VARIANTS = 64
"""Largest number of compiled variants of a function; torch's default is 8."""
_MODE = "latte_compile_mode"
"""Attribute of a transformer that stores the compile mode; it is not part of `state_dict`."""
_KEY = "train.compile"


def compile_in(transformer: torch.nn.Module, mode: CompileMode) -> None:
    """Store the torch.compile mode `mode` in `transformer`, where `compiled_for` reads it."""
    setattr(transformer, _MODE, mode)


def compiled_for(transformer: torch.nn.Module, function: FunctionT) -> FunctionT:
    """Return `function`, compiled if the transformer has a compile mode and gradients are recorded.

    Passes without gradients are not compiled, so that the trained model gives the same features as
    its saved copy. `function` is also returned unchanged inside a dispatch mode of torch, such as
    the FLOP counter of `--profile`.
    """
    mode: CompileMode | None = getattr(transformer, _MODE, None)
    if mode is None or not torch.is_grad_enabled() or _is_intercepted():
        return function
    return _compiled(function, mode, BACKEND)  # type: ignore[return-value]


def _is_intercepted() -> bool:
    # Imported late, because torch's public modules do not have this function.
    from torch.utils._python_dispatch import is_in_torch_dispatch_mode

    return is_in_torch_dispatch_mode()


def forget_compiled() -> None:
    """Free the compiled functions and CUDA graphs that earlier trainings in this process left."""
    torch.compiler.reset()
    _compiled.cache_clear()


def check_compiler(device: torch.device, mode: CompileMode) -> None:
    """Raise `LatteError` unless a tiny function can be compiled for `device` in `mode`."""
    if mode != "default" and device.type != "cuda":
        raise LatteError(
            f"`{mode}` needs a CUDA GPU; this run is on {device.type}",
            where=_KEY,
            hint="write `compile: default`, or remove this key",
        )
    _try_compiler(device, BACKEND)


@cache
def _try_compiler(device: torch.device, backend: str) -> None:
    try:
        with torch.no_grad():
            compiled = torch.compile(_probe, backend=backend, dynamic=False, fullgraph=True)
            compiled(torch.ones(8, device=device))
    except Exception as error:  # torch wraps errors of compilers in classes of several modules
        raise LatteError(
            f"torch.compile does not work on this machine: {error_line(error)}",
            where=_KEY,
            hint="install a C++ compiler (on a CPU) or Triton (on a GPU), or remove this key",
        ) from error


def _probe(values: Tensor) -> Tensor:
    return values.sin() + 1


@cache
def _compiled(function: Callable[..., Any], mode: CompileMode, backend: str) -> Callable[..., Any]:
    config: Any = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, name, max(getattr(config, name), _MOST_VARIANTS))
    return torch.compile(function, backend=backend, mode=mode, dynamic=False, fullgraph=True)
