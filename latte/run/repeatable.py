"""`deterministic: true`: the same bits again on a GPU, for what that costs.

On a CPU runs repeat to the bit anyway. On a GPU some operations add numbers in no fixed order,
which is faster; here torch takes others, or raises where there are none. What it costs depends on
the model; nothing here has been measured on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from latte.interfaces import LatteError

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED_WORKSPACE = ":4096:8"
"""See NVIDIA's cuBLAS documentation, section Results Reproducibility."""
_NO_OTHER_WAY = "deterministic implementation"
"""What torch says where an operation has none."""


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Torch's deterministic algorithms within the block, if they are `wanted`.

    Raises `LatteError` where something has no deterministic way.
    """
    if not wanted:
        yield
        return
    import torch

    # Read when cuBLAS is first used; somebody who has set it already knows why.
    os.environ.setdefault(_WORKSPACE, _FIXED_WORKSPACE)
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    except RuntimeError as error:
        if _NO_OTHER_WAY not in str(error):
            raise
        raise LatteError(
            f"something in this recipe cannot be done deterministically: {error}",
            where="deterministic",
            hint="take `deterministic: true` out of the recipe, or the component that needs this",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
