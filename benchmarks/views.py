"""Count the bytes and operations of the views of one batch on a device; needs no GPU.

The images are tensors of torch's device `meta`, which have shapes but no values, so nothing is
computed. An operation moves its inputs and its output once, as if no cache held them. Of tables and
images, only the elements that are read count.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.measuring import line_of_latte, say
from latte.data import device_views
from latte.data.device_crops import ResidentImages
from latte.data.device_views import DeviceViews
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings

_PARTS = {
    "device_crops.py": "crops, resized",
    "device_colours.py": "colours",
    "views.py": "normalised",
    "prefetch.py": "random draws, copied",
}
"""Part of a view by the file of the operation."""
_UNCOUNTED = ("empty", "empty_strided", "new_empty", "_unsafe_view")
_READS_A_PART = ("index", "index_select")
_WRITES_A_PART = ("index_copy_", "scatter_")


class MovedBytes(TorchDispatchMode):
    """Counts operations on tensors of the device `meta`, and the bytes that they move, by file."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function._overloadpacket.__name__
        outputs = [one for one in tree_leaves(result) if _on_meta(one)]
        if outputs and not getattr(function, "is_view", False) and name not in _UNCOUNTED:
            place = Path(line_of_latte().rpartition(":")[0]).name
            self.moved[place] += _moved(name, args, outputs)
            self.operations[place] += 1
        return result


def _moved(name: str, args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    inputs = [one for one in tree_leaves(args) if _on_meta(one)]
    written = sum(map(_bytes, outputs))
    if name in _READS_A_PART:
        return sum(map(_bytes, inputs[1:])) + 2 * written
    if name in _WRITES_A_PART:
        return sum(map(_bytes, inputs[1:])) + _bytes(inputs[-1])
    return sum(map(_bytes, inputs)) + written


def _bytes(tensor: Tensor) -> int:
    """Return the size of a tensor; elements that are repeated by `expand` count once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta"


def count(images: int, width: int, height: int, size: int) -> MovedBytes:
    """Count the views of `images` images of `width` x `height`, made in one pass of crops."""
    photo = torch.empty(height, width, 3, dtype=torch.uint8, device="meta")
    pixel_format = PixelFormat(size=size, mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3))
    view = TrainingView(pixel_format, AugmentSettings(), seed=0)
    views = DeviceViews(view, ResidentImages.of([photo] * images))
    for _ in views.batches([torch.arange(min(images, 16))], epoch=0):
        pass  # makes the tables of hues, which later batches use again
    counted = MovedBytes()
    with counted:
        for _ in views.batches([torch.arange(images)], epoch=1):
            pass
    return counted


def main(arguments: Sequence[str]) -> None:
    """Print operations and gigabytes of each part of the views."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks views", description=__doc__)
    parser.add_argument("--images", type=int, default=512, help="images (%(default)s)")
    parser.add_argument(
        "--photo", type=int, nargs=2, default=(500, 375), help="width and height (%(default)s)"
    )
    parser.add_argument("--size", type=int, default=224, help="side of a view (%(default)s)")
    parser.add_argument("--pass-gib", type=int, default=5, help="GiB of a pass (%(default)s)")
    options = parser.parse_args(arguments)
    device_views._PASS_BYTES = options.pass_gib * 2**30
    width, height = options.photo
    counted = count(options.images, width, height, options.size)
    say(f"{'part':<24}{'operations':>12}{'GB':>10}")
    for file, part in _PARTS.items():
        say(f"{part:<24}{counted.operations[file]:>12}{counted.moved[file] / 1e9:>10.2f}")
    total = sum(counted.moved.values()) / 1e9
    say(f"{'together':<24}{sum(counted.operations.values()):>12}{total:>10.2f}")
