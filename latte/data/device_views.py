"""Make random views of training images, batch by batch, on the device that stores the images.

Resizing sums floating-point numbers where Pillow sums integers, so an 8-bit value may differ by 1
from a view made on the CPU. Colour changes alone are bit-identical to Pillow's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor

from latte.data.augmentation import Augmentation
from latte.data.cache import ImageCache
from latte.data.device_colours import change_colours, plan_changes
from latte.data.device_crops import CropPass, ResidentImages, plan_crops, resized_crops
from latte.data.prefetch import BATCHES_AHEAD, all_to_device, ordered_map
from latte.data.side_stream import SideStream, side_stream
from latte.data.views import TrainingView, normalise
from latte.interfaces import ImageAugmentation, LatteError, Progress
from latte.interfaces.settings import TrainSettings

_SUPPORTED = ("cpu", "cuda")
_MEMORY_SHARE = 0.25
"""Largest share of a GPU's total memory for images; the free memory varies by run."""
_PASS_SHARE = 1 / 16
"""Largest share of a GPU's total memory for crops that are resized together."""
_PASS_BYTES = 256 * 2**20
"""Bytes of crops that are resized together on a CPU."""


def make_device_views(
    view: TrainingView, images: ImageCache, device: str, settings: TrainSettings, progress: Progress
) -> DeviceViews | None:
    """Return views that are made on `device`, or None if the CPU makes them.

    Raises `LatteError` if the settings require views on the device, but the device has too little
    memory or lacks 64-bit numbers, or a component makes the views.
    """
    place = torch.device(device)
    wanted = settings.augment_on == "device" or (
        settings.augment_on == "auto" and place.type == "cuda"
    )
    if view.augment is None or not settings.takes_steps or not wanted:
        return None
    if isinstance(view.augment, ImageAugmentation):
        if settings.augment_on == "auto":
            return None
        raise _refusal("views of a component `augmentation` are made on the CPU")
    if place.type not in _SUPPORTED:
        raise _refusal(f"views cannot be made on {device}, which lacks numbers of 64 bits")
    resident = resident_images(images, place, _share_of_memory(_MEMORY_SHARE, place), progress)
    if resident is not None:
        progress.say(f"train: {len(resident)} images stay on {device}, where their views are made")
        return DeviceViews(view, resident, side_stream(place))
    if settings.augment_on == "device":
        raise _refusal(f"the images take more than {_MEMORY_SHARE:.0%} of the memory of {device}")
    progress.say(f"train: images take too much of the memory of {device}; the CPU makes the views")
    return None


def _refusal(what: str) -> LatteError:
    hint = "write `augment_on: cpu`, or `auto`"
    return LatteError(what, where="train.augment_on", hint=hint)


def resident_images(
    images: ImageCache, device: torch.device, budget: int | None, progress: Progress
) -> ResidentImages | None:
    """Copy all images to `device` as uint8; None if they do not fit into `budget` bytes."""
    resident: list[Tensor] = []
    size = 0
    with progress.task("images to the device", len(images), "images") as task:
        for index in range(len(images)):
            pixels = images.pixels(index)
            size += pixels.nbytes
            if budget is not None and size > budget:
                return None
            # Inside the task, which would otherwise be shown as stopped by an error.
            try:
                resident.append(torch.tensor(pixels, device=device))
            except torch.OutOfMemoryError:
                return None
            task.advance()
    try:
        return ResidentImages.of(resident)
    except torch.OutOfMemoryError:
        return None


def _share_of_memory(share: float, device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return int(share * torch.cuda.get_device_properties(device).total_memory)


_Plan = tuple[Sequence[CropPass], Mapping[str, Tensor]]
"""Passes and tensors of the views of one batch, before they are copied to the device."""


class DeviceViews:
    """Random views of N images that stay on one device."""

    def __init__(
        self, view: TrainingView, images: ResidentImages, side: SideStream | None = None
    ) -> None:
        """Make views of `images` with the augmentations of `view`.

        If `side` (a second CUDA stream) is given, it makes the views of the next batch while this
        batch is in use. The views are bit-identical with and without it.
        """
        self._view = view
        self._images = images
        self._device = images.pixels.device
        self._side = side

    def batches(
        self, batches: Sequence[Tensor], epoch: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yield `batches` in order: indices (B,) and views (B, 3, S, S) on the device."""

        def plan(indices: Tensor) -> tuple[Tensor, _Plan]:
            return indices, self._plan(indices.tolist(), epoch)

        with closing(ordered_map(plan, batches, threads=1, ahead=BATCHES_AHEAD)) as planned:
            yield from self._made(planned)

    def of_largest(self, count: int, times: int) -> Generator[Tensor, None, None]:
        """Yield views (B, 3, S, S) of the `count` largest images, which take the most memory."""
        sizes = torch.tensor(self._images.sizes).prod(dim=1)
        indices = sizes.argsort(descending=True)[:count]
        plan = self._plan(indices.tolist(), epoch=0)
        for _, views in self._made([(indices, plan)] * times):
            yield views

    def bytes_beside_steps(self) -> int:
        """Return the bytes of GPU memory that are reserved for the side stream alone."""
        if self._side is None:
            return 0
        reserved = torch.cuda.memory_reserved(self._device)
        return reserved - torch.cuda.memory_allocated(self._device)

    def _made(
        self, planned: Iterable[tuple[Tensor, _Plan]]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        if self._side is not None:
            yield from self._side.made_ahead(lambda one: (one[0], self._views(one[1])), planned)
            return
        for indices, one in planned:
            yield indices, self._views(one)

    def _plan(self, indices: Sequence[int], epoch: int) -> _Plan:
        augmentations = [self._augmentation(index, epoch) for index in indices]
        boxes = [one.box for one in augmentations]
        size = self._view.pixel_format.size
        most_bytes = _share_of_memory(_PASS_SHARE, self._device) or _PASS_BYTES
        passes = plan_crops(self._images, indices, boxes, size, most_bytes)
        rows = torch.tensor([row for one in passes for row in one.rows], dtype=torch.int64)
        tensors = plan_changes([augmentations[row] for row in rows.tolist()])
        tensors["back"] = tensors["back"][rows.argsort()]
        for number, one in enumerate(passes):
            tensors |= {f"{number} {name}": value for name, value in one.tensors.items()}
        return passes, tensors

    def _augmentation(self, index: int, epoch: int) -> Augmentation:
        height, width = self._images.sizes[index]
        return self._view.augmentation(width, height, index, epoch)

    def _views(self, plan: _Plan) -> Tensor:
        pixel_format = self._view.pixel_format
        size = pixel_format.size
        passes, planned = plan
        if not passes:
            return torch.empty(0, 3, size, size, device=self._device)
        tensors = all_to_device(planned, self._device)
        parts = []
        for number, one in enumerate(passes):
            own = {name: tensors[f"{number} {name}"] for name in one.tensors}
            parts.append(resized_crops(self._images, one, own, size))
        views = parts[0] if len(parts) == 1 else torch.cat(parts)
        return normalise(change_colours(views, tensors), pixel_format)
