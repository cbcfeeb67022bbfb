"""Choose a recipe's method, describer and training settings for a folder of images.

A describer is a component that writes texts about the images, such as a large multimodal model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from packaging.version import Version

from latte.data.few_images import warn_of_few
from latte.interfaces import LatteError
from latte.io.paths import some
from latte.new.asked_model import DESCRIBER, AskedModel
from latte.new.encoders import Keys, encoder_reason, proposed_encoder, refuse_other_method
from latte.new.images import Findings
from latte.new.methods import AUTO, CHOICES, CONTROL, METHODS, NAMES, ProposedMethod
from latte.new.models import Machine, propose_model
from latte.registry.registry import Registry
from latte.registry.spec import USE, Kind
from latte.report.numbers import plural

_SELF_TAUGHT, _TRAINING_FREE = METHODS["self-taught"], METHODS["training-free"]
_GUARD: tuple[Kind, str] = ("guard", "evidence")
"""Guard that suits every method that adapts."""
_TINY = "plugin:tiny"
"""The CLIP of the package latte-tiny."""

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
    """Settings that were choices for a recipe, and the reasons."""

    method: ProposedMethod
    model: str = ""
    """CLIP model, as `NAME:PRETRAINED` or as in `backbone.model`."""
    encoders: tuple[Mapping[str, str], ...] = ()
    """Recipe keys of image-only encoders beside the CLIP."""
    describer: Literal["phrases", "llava"] | None = None
    asked: AskedModel | None = None
    """Model that is asked about images; None if no model is asked."""
    load_in_4bit: bool = False
    batch_size: int = 64
    micro_batch_size: int | None = None
    max_epochs: int = 0
    guard: str | None = None
    learning_rate: float = 0.0
    requires: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    other_methods: str = ""
    """Sentence for the user about the other methods."""


def choose(
    findings: Findings,
    machine: Machine,
    registry: Registry,
    method: str,
    model: str | None = None,
    encoders: Sequence[Keys] = (),
    asked: AskedModel | None = None,
) -> Choices:
    """Choose settings that suit the images and the machine; `method` is one of `NAMES`.

    If a model is `asked`, this decides the method.
    """
    choices = _asking(asked, method, registry) if asked else _method(method, findings, registry)
    if model is None:
        model, reason = propose_model(findings.images, machine, trains=choices.method.trains)
        choices.reasons.append(reason)
    elif model == _TINY:
        choices.reasons.append(
            f"model: {_TINY}, a tiny CLIP only to try latte: its labels are poor"
        )
    choices.model = model
    if choices.method.component:
        choices.requires.append(_requirement(registry, *choices.method.component))
    _choose_encoders(choices, findings, machine, registry, encoders)
    if choices.method.describes:
        choices.describer = "phrases"
    if choices.method.trains:
        _choose_describer(choices, machine, registry)
        _choose_training(choices, findings, machine)
    if choices.method.is_guarded:
        _choose_guard(choices, registry)
    if findings.named_by:
        names = f"sub-folders of {findings.named_by} ({some(findings.class_names)})"
        choices.reasons.append(f"class names: {names}")
    if findings.label_counts:
        choices.reasons.append(str(findings.label_counts))
    if findings.answers:
        choices.reasons.append(str(findings.answers))
    if not (findings.evaluation or findings.corrections):
        only = "; sub-folders only give class names" if findings.named_by else ""
        choices.reasons.append(f"gain: not measured, because there are no labelled images{only}")
    other_methods = (name for name in NAMES if name not in (method, choices.method.name))
    texts = (
        "latteclip trains with texts from CLIP itself (texts by a multimodal model need "
        f"latte-llava and a GPU with {_LMM_MEMORY:.0f} GiB, or latte-openai and a server)"
    )
    if _has_lmm(machine, registry):
        texts = "latteclip trains with texts by a multimodal model (LMM) on this GPU"
    choices.other_methods = f"other methods: {', '.join(other_methods)}; {texts}"
    return choices


def _choose_encoders(
    choices: Choices,
    findings: Findings,
    machine: Machine,
    registry: Registry,
    encoders: Sequence[Keys],
) -> None:
    """Use the encoders that the user named; if there are none, propose one, but do not use it."""
    choices.encoders = tuple(encoders)
    for keys in encoders:
        refuse_other_method(choices.method)
        choices.reasons.append(encoder_reason(keys, findings.images, machine, registry))
        requirement = _requirement(registry, "encoder", keys[USE])
        choices.requires = list(dict.fromkeys([*choices.requires, requirement]))
    if not encoders and choices.method.takes_encoders:
        proposal = proposed_encoder(findings.images, machine, registry)
        choices.reasons += [] if proposal is None else [proposal]


def _choose_guard(choices: Choices, registry: Registry) -> None:
    _, name = _GUARD
    if not has(registry, *_GUARD):
        choices.reasons.append(
            "guard: none, so the run uses the adapted model in any case; to get a guard, "
            "pip install latte-selftaught, and write this recipe again"
        )
        return
    choices.guard = name
    requirement = _requirement(registry, *_GUARD)
    choices.requires = list(dict.fromkeys([*choices.requires, requirement]))
    reason = f"guard: {name}; the run keeps zero-shot CLIP if the class names do not fit"
    choices.reasons.append(reason)


def _method(method: str, findings: Findings, registry: Registry) -> Choices:
    """Return the requested method, or for `auto` a method without training.

    Methods without training were the safest in measurements on typical folders. If a package that
    the requested or chosen method needs is not installed, return `training-free` instead.
    """
    method_settings = _SELF_TAUGHT if method == AUTO else METHODS[method]
    if method_settings.component is None or has(registry, *method_settings.component):
        if method != AUTO:
            return Choices(method_settings, reasons=[f"method: {method}, as you asked"])
        return Choices(
            method_settings, reasons=["method: all images are labelled together, no training"]
        )
    if method != AUTO:
        why = "method: training-free, because latte-selftaught is not installed"
        return Choices(_TRAINING_FREE, reasons=[why])
    reasons = ["method: class prototypes computed from texts and images, no training"]
    if warn_of_few(findings.images, len(findings.class_names)):
        reasons.append(
            "few images: the method self-taught needs no texts about the images and has a guard; "
            "to get it, pip install latte-selftaught, and run this again"
        )
    return Choices(_TRAINING_FREE, reasons=reasons)


def _asking(asked: AskedModel, method: str, registry: Registry) -> Choices:
    """Return the method that asks a model. Raises `LatteError` if the user named another one."""
    if method != AUTO:
        what = f"the method {method} asks no model about images"
        raise LatteError(what, where="--ask-model", hint="leave out --method, or --ask-model")
    reason = f"method: {CHOICES.name}; {asked.name} gets {asked.sent}"
    requires = [_requirement(registry, *DESCRIBER)]
    return Choices(CHOICES, asked=asked, requires=requires, reasons=[reason])


def has(registry: Registry, kind: Kind, name: str) -> bool:
    """Return True if a component with this kind and name is installed."""
    return any(component.spec.name == name for component in registry.all(kind))


def _requirement(registry: Registry, kind: Kind, name: str) -> str:
    """Return a pip requirement, `PACKAGE>=X.Y,<X.Z`, for the installed package of a component."""
    provider = registry.get(kind, name)
    major, minor = Version(provider.version).release[:2]
    return f"{provider.distribution}>={major}.{minor},<{major}.{minor + 1}"


def _has_lmm(machine: Machine, registry: Registry) -> bool:
    fits = machine.device == "cuda" and (machine.memory or 0.0) >= _LMM_MEMORY
    return fits and has(registry, "describer", "llava")


def _choose_describer(choices: Choices, machine: Machine, registry: Registry) -> None:
    if not _has_lmm(machine, registry):
        choices.reasons.append(
            "describer: phrases (CLIP chooses from a list of phrases; no GPU needed); texts by a "
            "multimodal model say more: plugin latte-llava, or latte-openai for a server"
        )
        return
    choices.describer = "llava"
    choices.requires.append(_requirement(registry, "describer", "llava"))
    choices.load_in_4bit = (machine.memory or 0.0) < _WHOLE_LMM_MEMORY
    bits = "in 4 bits, to fit into this GPU" if choices.load_in_4bit else "in 16 bits"
    choices.reasons.append(f"describer: llava, {bits}; it reads thumbnails, as in the paper")


def _choose_training(choices: Choices, findings: Findings, machine: Machine) -> None:
    choices.batch_size = batch_size(findings.images)
    if choices.batch_size < _LARGEST_BATCH:
        choices.reasons.append(
            f"batch: {choices.batch_size} images instead of {_LARGEST_BATCH}, so that an epoch has "
            f"about {plural(ceil(findings.images / choices.batch_size), 'step')}"
        )
    if (machine.memory or 0.0) < _WHOLE_BATCH_MEMORY and choices.batch_size > 128:
        choices.micro_batch_size = 128
        choices.reasons.append(
            "memory: batches pass the towers 128 images at a time, with the same result"
        )
    choices.max_epochs = 50 if machine.device == "cuda" else 5
    if machine.device != "cuda":
        choices.reasons.append("epochs: 5 instead of 50, because a CPU is slow")
    is_large = findings.images >= 19_000 and len(findings.class_names) >= 100
    choices.learning_rate = 1e-6 if is_large else 1e-7
    choices.reasons.append(
        f"learning rate: {choices.learning_rate:.0e}, as published for sets of "
        + ("many images and classes" if is_large else "this size")
    )
    choices.reasons.append(
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
