"""How much memory this process may still take, as the system and its control groups tell."""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor

from latte import distributed
from latte.interfaces import LatteError, Progress
from latte.interfaces.settings import TrainSettings
from latte.io.files import write_json
from latte.train.learner import Learner
from latte.train.precision import backward_in
from latte.train.training import Training

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_V1_UNLIMITED = 2**60
"""Version 1 writes the largest whole page number where there is no limit."""


def free_memory(
    meminfo: Path = _MEMINFO, own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS
) -> int | None:
    """Bytes, the smallest of what the machine and each control group above leave free.

    What a group keeps of files counts as free, as the kernel gives it up first. None where the
    system tells nothing, as outside of Linux.
    """
    found = [_of_machine(meminfo), *_of_groups(own_groups, groups)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _of_machine(meminfo: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text_of(meminfo), re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def _of_groups(own_groups: Path, groups: Path) -> Iterator[int | None]:
    for line in _text_of(own_groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from (_left(one, "memory.max", "memory.current") for one in _up(groups, path))
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from (_left(one, *names) for one in _up(groups / "memory", path))


def _up(root: Path, path: str) -> Iterator[Path]:
    """The group itself and all above it; in a container its own group can be the root."""
    place = root / path.lstrip("/")
    while place != root and root in place.parents:
        yield place
        place = place.parent
    yield root


def _left(group: Path, limit: str, used: str) -> int | None:
    highest, now = _text_of(group / limit).strip(), _text_of(group / used).strip()
    if not highest.isdecimal() or not now.isdecimal() or int(highest) >= _V1_UNLIMITED:
        return None
    stat = _text_of(group / "memory.stat")
    files = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
    return int(highest) - int(now) + (int(files[1]) if files else 0)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


# The largest part of a batch that memory holds, found by trying before the first step.
#
# Whole, then a half, a quarter and so on: what is tried is a forward and a backward pass of the
# worst that a step can need, the longest texts among it. A GPU says itself when it has not
# enough. A CPU does not, but has the process killed; there a few samples are tried, and the rest
# is multiplied.


RECORD = "fitting.json"
MARGIN = 0.1
"""Share of memory that stays free: what is tried is not quite a step."""
_SAMPLES = 4
_WORKING = 1.5
"""What a pass takes on a CPU for each byte that autograd keeps: results on their way among it."""


@dataclass(frozen=True)
class Worst:
    """The most that one step can send through the towers of a learner."""

    images: int
    texts: Sequence[str]
    """Distinct, the longest first."""

    def held_at_once(self, size: int | None) -> list[Worst]:
        """All of it; or one after the other, where at most `size` images or texts are."""
        if size is None:
            return [self]
        return [Worst(min(size, self.images), []), Worst(0, self.texts[:size])]


@dataclass(frozen=True)
class Found:
    """What a step fits with."""

    micro_batch_size: int | None
    gradient_checkpointing: bool


Fits = Callable[[int | None], bool]
"""Whether memory suffices for parts of that size, or for a whole batch."""


def find_micro_batch_size(training: Training, progress: Progress) -> None:
    """Give each learner the part size with which a step fits, as the settings ask for it.

    A training that goes on begins with what it found before, so that it gives the same bits.

    Raises:
        LatteError: if memory does not hold a single image or text.
    """
    settings = training.settings
    if settings.gradient_checkpointing is True:
        for learner in training.learners:
            learner.backbone.recompute_activations()
    if not settings.fits_by_trying or training.total_steps == 0:
        return
    path = training.folder / "checkpoints" / RECORD
    before, found = _read(path), {}
    for learner in training.learners:
        worst = worst_step(training, learner)
        own = _fit(learner, worst, before.get(learner.name), settings, progress)
        found[learner.name] = _agreed(learner, own)
    if distributed.is_main_process():
        write_json(path, {name: asdict(one) for name, one in found.items()})


def worst_step(training: Training, learner: Learner) -> Worst:
    """Images and texts of the largest step; what is looked up passes through no tower."""
    size = min(training.settings.images_a_step, len(training.images))
    inputs, kept = training.inputs, learner.cached_texts
    names = [one for one in inputs.descriptions if kept is None or one not in kept.names]
    texts = [*inputs.bank.unique_texts] if names else []
    most = size * len(names) * max(1, len(inputs.labelers))
    longest = sorted(texts, key=len, reverse=True)[:most]
    if learner.aggregator.class_features_refresh == "step" and learner.text_tower_trains:
        longest = sorted(
            {*longest, *inputs.class_texts.sentences}, key=lambda one: (-len(one), one)
        )
    images = 0 if learner.constant_features is not None else len(distributed.share(range(size)))
    return Worst(images, distributed.share(longest))


def _agreed(learner: Learner, own: Found) -> Found:
    """What fits all processes of a run: the smallest part that any of them found."""
    found = [Found(**one) for one in distributed.all_gather_object(asdict(own))]
    sizes = [one.micro_batch_size for one in found if one.micro_batch_size is not None]
    learner.micro_batch_size = min(sizes, default=None)
    again = any(one.gradient_checkpointing for one in found)
    if again and not own.gradient_checkpointing:
        learner.backbone.recompute_activations()
    return Found(learner.micro_batch_size, again)


def _fit(
    learner: Learner,
    worst: Worst,
    before: Found | None,
    settings: TrainSettings,
    progress: Progress,
) -> Found:
    again = settings.gradient_checkpointing is True
    if before is not None and before.gradient_checkpointing:
        again = learner.backbone.recompute_activations()
    size = _largest(_attempts(learner, worst), worst, before.micro_batch_size if before else None)
    if size == 0 and settings.gradient_checkpointing == "auto" and not again:
        again = learner.backbone.recompute_activations()
        size = _largest(_attempts(learner, worst), worst, None)
    if size == 0:
        raise LatteError(
            "memory does not hold one image or text on its way through the towers",
            where="train.micro_batch_size",
            hint="take a smaller model, let less of it train, or stop what else needs memory",
        )
    learner.micro_batch_size = size
    _say(worst, size, progress, again=again)
    return Found(size, again)


def _say(worst: Worst, size: int | None, progress: Progress, *, again: bool) -> None:
    if size is not None:
        progress.say(
            f"train: a batch of {worst.images} images does not fit into memory at once, so {size} "
            "images or texts at a time pass through the towers"
        )
    if again:
        progress.say("train: activations are computed a second time on the way back, to fit")


def _largest(fits: Fits, worst: Worst, known: int | None) -> int | None:
    """None: all at once; else images divided by a power of two; 0 if nothing fits."""
    largest = max(worst.images, len(worst.texts), 1)
    powers = range(1, math.ceil(math.log2(largest)) + 1)
    sizes = [None, *(math.ceil(largest / 2**power) for power in powers)]
    if known is not None:
        sizes = [size for size in sizes if size is not None and size <= known]
    return next((size for size in [*sizes, 1] if fits(size)), 0)


def _attempts(learner: Learner, worst: Worst) -> Fits:
    if learner.device.type == "cuda":
        return lambda size: all(_tried(learner, one) for one in worst.held_at_once(size))
    return _estimated(learner, worst)


def _tried(learner: Learner, worst: Worst) -> bool:
    """On a GPU, beside what the optimiser will keep and some spare memory."""
    device = learner.device
    spare = int(MARGIN * torch.cuda.get_device_properties(device).total_memory)
    try:
        held = torch.empty(spare + _state_bytes(learner), dtype=torch.uint8, device=device)
        with_gradients(learner, worst)
        del held
    except torch.OutOfMemoryError:
        fits = False
    else:
        fits = True
    # The failed attempt's tensors hang on its traceback until here.
    gc.collect()
    torch.cuda.empty_cache()
    return fits


def _estimated(learner: Learner, worst: Worst) -> Fits:
    """On a CPU: a few samples are sent through the towers, and what they need is multiplied."""
    images, texts = min(worst.images, _SAMPLES), worst.texts[:_SAMPLES]
    an_image = with_gradients(learner, Worst(images, [])) / max(images, 1)
    a_letter = with_gradients(learner, Worst(0, texts)) / max(_letters(texts), 1)
    weights = sum(value.nbytes for value in learner.parameters.values())

    def fits(size: int | None) -> bool:
        activations = max(
            one.images * an_image + _letters(one.texts) * a_letter
            for one in worst.held_at_once(size)
        )
        free = free_memory()
        needed = _state_bytes(learner) + weights + _WORKING * activations
        return free is None or needed <= (1 - MARGIN) * free

    return fits


def _letters(texts: Sequence[str]) -> int:
    """What the length of texts is counted by; the end of each counts, too."""
    return sum(len(text) + 1 for text in texts)


def with_gradients(learner: Learner, worst: Worst) -> int:
    """Forward and backward; returns the bytes that autograd held. Nothing of it stays.

    Raises:
        torch.OutOfMemoryError: where a GPU has not enough memory.
    """
    devices = [learner.device] if learner.device.type == "cuda" else []
    held: dict[int, int] = {}
    try:
        with torch.random.fork_rng(devices=devices), _saved(learner, held):
            features = _encoded(learner, worst)
        trained = [one for one in features if one.requires_grad]
        if trained:
            with backward_in(learner.arithmetic):
                torch.autograd.backward([one.sum() for one in trained])
    finally:
        for value in learner.parameters.values():
            value.grad = None
    return sum(held.values())


def _encoded(learner: Learner, worst: Worst) -> list[Tensor]:
    side = learner.backbone.pixel_format.size
    found = []
    if worst.images:
        pixels = torch.zeros(worst.images, 3, side, side)
        found.append(learner.image_features(torch.arange(worst.images), pixels))
    if worst.texts:
        found.append(learner.encode_texts(worst.texts))
    return found


@contextmanager
def _saved(learner: Learner, held: dict[int, int]) -> Iterator[None]:
    """Note in `held` what autograd keeps of a forward pass, by storage and without weights."""
    weights = {value.untyped_storage().data_ptr() for value in learner.backbone.state().values()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        yield


def _state_bytes(learner: Learner) -> int:
    """What the optimiser will keep of each weight."""
    if learner.optimizer is None:
        return 0
    copies = 1 if isinstance(learner.optimizer, torch.optim.SGD) else 2
    return copies * sum(value.nbytes for value in learner.parameters.values())


def _read(path: Path) -> dict[str, Found]:
    try:
        return TypeAdapter(dict[str, Found]).validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return {}


@contextmanager
def lack_explained(settings: TrainSettings) -> Iterator[None]:
    """A step for which a GPU has not enough memory says what to do about it.

    Raises:
        LatteError: in place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        tried = settings.fits_by_trying
        raise LatteError(
            f"this GPU's memory does not hold a step on {settings.images_a_step} images",
            where="train.micro_batch_size",
            hint=(
                "something else took memory since it was tried; the same command goes on from the "
                "last checkpoint"
                if tried
                else "write `micro_batch_size: auto`: the same results up to rounding, in parts"
            ),
        ) from error
