"""Choose a recipe's method, describer and training settings for a folder of images.

A describer is a component that writes texts about the images, such as a large multimodal model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from packaging.version import Version

from latte.data.few_images import warn_of_few
from latte.io.paths import some
from latte.new.images import Findings
from latte.new.methods import AUTO, CONTROL, METHODS, NAMES, Method
from latte.new.models import Machine, propose_model
from latte.registry.registry import Registry
from latte.registry.spec import Kind
from latte.report.numbers import plural

_MIXTURE, _TRAINING_FREE = METHODS["mixture"], METHODS["training-free"]
_GUARD: tuple[Kind, str] = ("guard", "evidence")
"""Guard that suits every method that adapts."""

_LMM_MEMORY = 10.0
"""GPU memory in GiB that LLaVA 1.6 7B needs in 4 bits, including a batch.

This number and the next two are calculated from shapes, not measured."""
_WHOLE_LMM_MEMORY = 22.0
"""GPU memory in GiB that LLaVA 1.6 7B needs in 16 bits."""
_WHOLE_BATCH_MEMORY = 20.0
"""GPU memory in GiB for 512 images and their texts in ViT-B/32, including activations."""
_LARGEST_BATCH = 512
_STEPS_PER_EPOCH = 10


@dataclass
class Choices:
    """Settings that were chosen for a recipe, and the reasons."""

    method: Method
    model: str = ""
    """CLIP model, as `NAME:PRETRAINED` or as in `backbone.model`."""
    describer: Literal["phrases", "llava"] | None = None
    load_in_4bit: bool = False
    batch_size: int = 64
    micro_batch_size: int | None = None
    max_epochs: int = 0
    guard: str | None = None
    learning_rate: float = 0.0
    requires: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    others: str = ""
    """Sentence for the user about the other methods."""


def choose(
    found: Findings, machine: Machine, registry: Registry, method: str, model: str | None = None
) -> Choices:
    """Choose settings that suit the images and the machine; `method` is one of `NAMES`."""
    chosen = _method(method, found, registry)
    if model is None:
        model, reason = propose_model(found.images, machine, trains=chosen.method.trains)
        chosen.reasons.append(reason)
    chosen.model = model
    if chosen.method.component:
        chosen.requires.append(_requirement(registry, *chosen.method.component))
    if chosen.method.describes:
        chosen.describer = "phrases"
    if chosen.method.trains:
        _choose_describer(chosen, machine, registry)
        _choose_training(chosen, found, machine)
    if chosen.method.adapts:
        _choose_guard(chosen, registry)
    if found.named_by:
        names = f"sub-folders of {found.named_by} ({some(found.class_names)})"
        chosen.reasons.append(f"class names: {names}")
    if found.given:
        chosen.reasons.append(str(found.given))
    if not found.evaluation:
        only = "; sub-folders only give class names" if found.named_by else ""
        chosen.reasons.append(f"gain: not measured, because there are no labelled images{only}")
    others = (one for one in NAMES if one not in (method, chosen.method.name))
    texts = (
        "latteclip trains with texts from CLIP itself (texts by a multimodal model need "
        f"latte-llava and a GPU with {_LMM_MEMORY:.0f} GiB, or latte-openai and a server)"
    )
    if _has_lmm(machine, registry):
        texts = "latteclip trains with texts by a multimodal model (LMM) on this GPU"
    chosen.others = f"other methods: {', '.join(others)}; {texts}"
    return chosen


def _choose_guard(chosen: Choices, registry: Registry) -> None:
    _, name = _GUARD
    if not has(registry, *_GUARD):
        chosen.reasons.append(
            "guard: none, so the run uses the adapted model in any case; to get a guard, "
            "pip install latte-transductive, and write this recipe again"
        )
        return
    chosen.guard = name
    requirement = _requirement(registry, *_GUARD)
    chosen.requires = list(dict.fromkeys([*chosen.requires, requirement]))
    reason = f"guard: {name}; the run keeps zero-shot CLIP if the class names do not fit"
    chosen.reasons.append(reason)


def _method(method: str, found: Findings, registry: Registry) -> Choices:
    """Return the requested method, or for `auto` a method without training.

    Methods without training were the safest in measurements on typical folders. If a package that
    the requested or chosen method needs is not installed, return `training-free` instead.
    """
    wanted = _MIXTURE if method == AUTO else METHODS[method]
    if wanted.component is None or has(registry, *wanted.component):
        if method != AUTO:
            return Choices(wanted, reasons=[f"method: {method}, as you asked"])
        return Choices(wanted, reasons=["method: joint labelling of all images, no training"])
    if method != AUTO:
        why = "method: training-free, because latte-transductive is not installed"
        return Choices(_TRAINING_FREE, reasons=[why])
    reasons = ["method: class prototypes computed from texts and images, no training"]
    if warn_of_few(found.images, len(found.class_names)):
        reasons.append(
            "few images: a mixture needs no texts about the images and has a guard; to get it, "
            "pip install latte-transductive, and run this again"
        )
    return Choices(_TRAINING_FREE, reasons=reasons)


def has(registry: Registry, kind: Kind, name: str) -> bool:
    """Return True if a component with this kind and name is installed."""
    return any(one.spec.name == name for one in registry.all(kind))


def _requirement(registry: Registry, kind: Kind, name: str) -> str:
    """Return a pip requirement, `PACKAGE>=X.Y,<X.Z`, for the installed package of a component."""
    provider = registry.get(kind, name)
    major, minor = Version(provider.version).release[:2]
    return f"{provider.distribution}>={major}.{minor},<{major}.{minor + 1}"


def _has_lmm(machine: Machine, registry: Registry) -> bool:
    fits = machine.device == "cuda" and (machine.memory or 0.0) >= _LMM_MEMORY
    return fits and has(registry, "describer", "llava")


def _choose_describer(chosen: Choices, machine: Machine, registry: Registry) -> None:
    if not _has_lmm(machine, registry):
        chosen.reasons.append(
            "describer: phrases (CLIP chooses from a list of phrases; no GPU needed); texts by a "
            "multimodal model say more: plugin latte-llava, or latte-openai for a server"
        )
        return
    chosen.describer = "llava"
    chosen.requires.append(_requirement(registry, "describer", "llava"))
    chosen.load_in_4bit = (machine.memory or 0.0) < _WHOLE_LMM_MEMORY
    bits = "in 4 bits, to fit into this GPU" if chosen.load_in_4bit else "in 16 bits"
    chosen.reasons.append(f"describer: llava, {bits}; it reads thumbnails, as in the paper")


def _choose_training(chosen: Choices, found: Findings, machine: Machine) -> None:
    chosen.batch_size = batch_size(found.images)
    if chosen.batch_size < _LARGEST_BATCH:
        chosen.reasons.append(
            f"batch: {chosen.batch_size} images instead of {_LARGEST_BATCH}, so that an epoch has "
            f"about {plural(ceil(found.images / chosen.batch_size), 'step')}"
        )
    if (machine.memory or 0.0) < _WHOLE_BATCH_MEMORY and chosen.batch_size > 128:
        chosen.micro_batch_size = 128
        chosen.reasons.append(
            "memory: batches pass the towers 128 images at a time, with the same result"
        )
    chosen.max_epochs = 50 if machine.device == "cuda" else 5
    if machine.device != "cuda":
        chosen.reasons.append("epochs: 5 instead of 50, because a CPU is slow")
    is_large = found.images >= 19_000 and len(found.class_names) >= 100
    chosen.learning_rate = 1e-6 if is_large else 1e-7
    chosen.reasons.append(
        f"learning rate: {chosen.learning_rate:.0e}, as published for sets of "
        + ("many images and classes" if is_large else "this size")
    )
    chosen.reasons.append(
        f"control: {CONTROL}, the same training without texts about images, also runs for "
        "comparison; to leave it out, remove `controls` from the recipe, and use latte run"
    )


def batch_size(images: int) -> int:
    """Return the batch size, a power of two from 32 to 512.

    It is the largest one that gives at least ten steps per epoch, or 32 for few images.
    """
    size = 32
    while size < _LARGEST_BATCH and 2 * size * _STEPS_PER_EPOCH <= images:
        size *= 2
    return size
