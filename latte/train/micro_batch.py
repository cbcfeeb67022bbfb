"""Find the largest micro-batch that fits into memory, before the first step.

On a GPU, steps with the largest images and the longest texts are tried. On a CPU, the system would
kill a process that lacks memory, so the memory of a few samples is measured and extrapolated.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import torch
from pydantic import TypeAdapter
from torch import Tensor

from latte import distributed
from latte.interfaces import LatteError, Progress
from latte.interfaces.settings import TrainSettings
from latte.io.files import write_json
from latte.train.free_memory import free_memory
from latte.train.learner import Learner
from latte.train.precision import backward_in
from latte.train.training import Training

RECORD_FILE = "fitting.json"
MARGIN = 0.1
"""Share of memory that must stay free: a step needs slightly more than a trial."""
_SAMPLES = 4
_WORKING_MEMORY = 1.5
"""Memory of a forward and backward pass on a CPU, divided by the memory that autograd stores."""


@dataclass(frozen=True)
class LargestStep:
    """Most expensive training step: its number of images, and the longest texts."""

    images: int
    texts: Sequence[str]
    """Distinct texts, the longest first."""

    def passes(self, size: int | None) -> list[LargestStep]:
        """Return the largest image pass and the largest text pass for micro-batches of `size`.

        If `size` is None, a single pass encodes the whole batch.
        """
        if size is None:
            return [self]
        return [LargestStep(min(size, self.images), []), LargestStep(0, self.texts[:size])]


@dataclass(frozen=True)
class Found:
    """Settings with which a training step fits into memory."""

    micro_batch_size: int | None
    gradient_checkpointing: bool


Fits = Callable[[int | None], bool]
"""Function that returns True if a micro-batch size fits; None is the whole batch."""


def find_micro_batch_size(training: Training, progress: Progress) -> None:
    """Set each learner's micro-batch size to the largest size that fits into memory.

    Does nothing unless the settings request this search. A resumed run uses no larger size than
    before, so that its results are bit-identical. Raises `LatteError` if not even one image or text
    fits.
    """
    settings = training.settings
    if settings.gradient_checkpointing is True:
        for learner in training.learners:
            learner.backbone.recompute_activations()
    if not settings.fits_by_trying or training.total_steps == 0:
        return
    path = training.folder / "checkpoints" / RECORD_FILE
    before: dict[str, Found] = {}
    with suppress(OSError, ValueError):
        before = TypeAdapter(dict[str, Found]).validate_json(path.read_bytes(), strict=True)
    found = {}
    for learner in training.learners:
        own = _fit(training, learner, before.get(learner.name), progress)
        found[learner.name] = _smallest_of_all_processes(learner, own)
    if distributed.is_main_process():
        write_json(path, {name: asdict(one) for name, one in found.items()})


def largest_step(training: Training, learner: Learner) -> LargestStep:
    """Return the number of images and the longest texts that this process encodes in one step."""
    size = min(training.settings.images_a_step, len(training.images))
    inputs = training.inputs
    names = inputs.descriptions if learner.cached_texts is None else ()
    texts = [*inputs.bank.unique_texts] if names else []
    most = size * len(names) * max(1, len(inputs.labelers))
    longest = sorted(texts, key=len, reverse=True)[:most]
    if learner.aggregator.class_features_refresh == "step" and learner.text_tower_is_trained:
        every = {*longest, *inputs.class_texts.sentences}
        longest = sorted(every, key=lambda one: (-len(one), one))
    images = len(distributed.share(range(size))) if learner.constant_features is None else 0
    return LargestStep(images, distributed.share(longest))


def _smallest_of_all_processes(learner: Learner, own: Found) -> Found:
    """Apply and return the settings that fit in every process; `own` fits in this process."""
    found = [Found(**one) for one in distributed.all_gather_object(asdict(own))]
    sizes = [one.micro_batch_size for one in found if one.micro_batch_size is not None]
    learner.micro_batch_size = min(sizes, default=None)
    again = any(one.gradient_checkpointing for one in found)
    if again and not own.gradient_checkpointing:
        learner.backbone.recompute_activations()
    return Found(learner.micro_batch_size, again)


def _fit(training: Training, learner: Learner, before: Found | None, progress: Progress) -> Found:
    settings, largest = training.settings, largest_step(training, learner)
    again = settings.gradient_checkpointing is True
    if before is not None and before.gradient_checkpointing:
        again = learner.backbone.recompute_activations()
    known = before.micro_batch_size if before else None
    size = _largest_size(_attempts(learner, largest), largest, known)
    if size == 0 and settings.gradient_checkpointing == "auto" and not again:
        again = learner.backbone.recompute_activations()
        size = _largest_size(_attempts(learner, largest), largest, None)
    if size == 0:
        first = ""
        if largest.images and learner.device.type == "cuda":
            first = "write a smaller `train.batch_size`, because all its views are in memory, "
        rest = "take a smaller model, train fewer parameters, or stop what else needs memory"
        raise LatteError(
            "memory does not hold one image or text on its way through the towers",
            where="train.micro_batch_size",
            hint=first + rest,
        )
    learner.micro_batch_size = size
    if size is not None:
        progress.say(
            f"train: a batch of {largest.images} images does not fit into memory at once, so "
            f"{size} images or texts at a time pass through the towers"
        )
    if again:
        progress.say("train: to save memory, the backward pass computes activations again")
    return Found(size, again)


def _largest_size(fits: Fits, largest: LargestStep, known: int | None) -> int | None:
    """Return the largest micro-batch size that fits.

    Returns None if the whole batch fits, and 0 if not even one image or text fits. Sizes above
    `known`, which was found before the run was resumed, are not tried.
    """
    most = max(largest.images, len(largest.texts), 1)
    powers = range(1, math.ceil(math.log2(most)) + 1)
    sizes = [None, *(math.ceil(most / 2**power) for power in powers)]
    if known is not None:
        sizes = [size for size in sizes if size is not None and size <= known]
    return next((size for size in [*sizes, 1] if fits(size)), 0)


def _attempts(learner: Learner, largest: LargestStep) -> Fits:
    if learner.device.type == "cuda":
        return lambda size: _fits_on_gpu(learner, largest, size)
    return _estimate_on_cpu(learner, largest)


def _fits_on_gpu(learner: Learner, largest: LargestStep, size: int | None) -> bool:
    """Return True if a step with micro-batches of `size` fits into GPU memory.

    Each trial runs while other memory is occupied: by the views of the whole batch, the optimiser's
    state, and the reserve `MARGIN`.
    """
    device = learner.device
    spare = int(MARGIN * torch.cuda.get_device_properties(device).total_memory)
    try:
        held = torch.empty(spare + _state_bytes(learner), dtype=torch.uint8, device=device)
        seen = largest.images if learner.needs_pixels else 0
        side = learner.backbone.pixel_format.size
        pixels = torch.zeros(seen, 3, side, side, device=device)
        for one in largest.passes(size):
            activation_bytes(learner, one, pixels[: one.images])
        del held, pixels
    except torch.OutOfMemoryError:
        fits = False
    else:
        fits = True
    # Until here, the traceback of a failed attempt kept the tensors of the attempt in memory.
    gc.collect()
    torch.cuda.empty_cache()
    return fits


def _estimate_on_cpu(learner: Learner, largest: LargestStep) -> Fits:
    images, texts = min(largest.images, _SAMPLES), largest.texts[:_SAMPLES]
    per_image = activation_bytes(learner, LargestStep(images, [])) / max(images, 1)
    per_letter = activation_bytes(learner, LargestStep(0, texts)) / max(_letters(texts), 1)
    weights = sum(value.nbytes for value in learner.parameters.values())

    def fits(size: int | None) -> bool:
        activations = max(
            one.images * per_image + _letters(one.texts) * per_letter
            for one in largest.passes(size)
        )
        free = free_memory()
        needed = _state_bytes(learner) + weights + _WORKING_MEMORY * activations
        return free is None or needed <= (1 - MARGIN) * free

    return fits


def _letters(texts: Sequence[str]) -> int:
    """Return the number of characters, plus one per text for its end-of-text token."""
    return sum(len(text) + 1 for text in texts)


def activation_bytes(learner: Learner, one: LargestStep, pixels: Tensor | None = None) -> int:
    """Run a forward and a backward pass; return the number of bytes that autograd saves.

    `pixels` (B, 3, S, S) are views of the images; zeros by default. Afterwards, gradients are None
    and random generators are restored. Raises `torch.OutOfMemoryError` if a GPU lacks memory.
    """
    devices = [learner.device] if learner.device.type == "cuda" else []
    side = learner.backbone.pixel_format.size
    stored: dict[int, int] = {}
    features = []
    try:
        with torch.random.fork_rng(devices=devices), _saved_tensors(learner, stored):
            if one.images:
                pixels = torch.zeros(one.images, 3, side, side) if pixels is None else pixels
                features.append(learner.encode_images(torch.arange(one.images), pixels))
            if one.texts:
                features.append(learner.encode_texts(one.texts))
        trained = [each.sum() for each in features if each.requires_grad]
        if trained:
            with backward_in(learner.arithmetic):
                torch.autograd.backward(trained)
    finally:
        for value in learner.parameters.values():
            value.grad = None
    return sum(stored.values())


@contextmanager
def _saved_tensors(learner: Learner, stored: dict[int, int]) -> Iterator[None]:
    """Record address and bytes of each storage that autograd saves; weights are left out."""
    weights = {value.untyped_storage().data_ptr() for value in learner.backbone.state().values()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            stored[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        yield


def _state_bytes(learner: Learner) -> int:
    if learner.optimizer is None:
        return 0
    copies = 1 if isinstance(learner.optimizer, torch.optim.SGD) else 2
    return copies * sum(value.nbytes for value in learner.parameters.values())


@contextmanager
def explain_out_of_memory(settings: TrainSettings) -> Iterator[None]:
    """Replace torch's out-of-memory error in the `with` block by a `LatteError` with advice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LatteError(
            f"this GPU's memory does not hold a step on {settings.images_a_step} images",
            where="train.micro_batch_size",
            hint="something else took memory since it was tried; the same command goes on from the "
            "last checkpoint"
            if settings.fits_by_trying
            else "write `micro_batch_size: auto`: less memory, equal results up to rounding",
        ) from error
