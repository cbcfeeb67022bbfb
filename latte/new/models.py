"""Describe this machine, and propose a CLIP that is fast enough on it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from latte.backbone.hub import answers, cached_models, needs_download
from latte.backbone.names import licence_of, model_names, repository_of
from latte.interfaces import LatteError
from latte.io.paths import some
from latte.registry.registry import Registry
from latte.registry.spec import BUILTIN_DISTRIBUTION

_MOST_MINUTES = 10.0
"""Maximum time for encoding the images; slower models are not proposed for this machine."""


@dataclass(frozen=True)
class Machine:
    """Device that runs use by default, and the memory of this device."""

    device: str
    """`cuda` or `cpu`, as `device: auto` chooses (a recipe must name `mps` to use it)."""
    name: str
    memory: float | None
    """Memory of the device in GiB."""
    cores: int = 1

    def __str__(self) -> str:
        memory = f", {self.memory:.0f} GiB" if self.memory else ""
        return f"{self.name}{memory}"

    def minutes(self, seconds: float) -> float:
        """Return the minutes that work of `seconds` on one core takes on all cores; 0 on a GPU."""
        return 0.0 if self.device == "cuda" else seconds / self.cores / 60


def this_machine() -> Machine:
    """Return the device that `device: auto` chooses."""
    import torch

    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Machine("cuda", gpu.name, gpu.total_memory / 2**30)
    cores = usable_cpus()
    name = f"{cores} CPU core{'' if cores == 1 else 's'}, no GPU"
    return Machine("cpu", name, main_memory(), cores)


def usable_cpus() -> int:
    """Return the number of CPU cores that this process may use."""
    available = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if available else os.cpu_count() or 1


def main_memory() -> float | None:
    """Return the size of the main memory in GiB; None if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


@dataclass(frozen=True)
class KnownModel:
    """A CLIP that latte may propose for a recipe; its licence allows commercial use."""

    name: str
    """`NAME:PRETRAINED` of open_clip."""
    imagenet: float
    """Zero-shot accuracy on ImageNet in percent, as open_clip publishes it."""
    seconds: float
    """Seconds in which one CPU core encodes an image, measured with random weights."""

    @property
    def repository(self) -> str | None:
        """Repository of the weights on the Hugging Face hub."""
        return repository_of(*self.name.split(":"))


KNOWN = (
    KnownModel("ViT-B-16:datacomp_xl_s13b_b90k", imagenet=73.5, seconds=0.41),
    KnownModel("ViT-B-32:datacomp_xl_s13b_b90k", imagenet=69.2, seconds=0.11),
)
"""Models that may be proposed, the most accurate one first and the fastest one last."""


def propose_model(images: int, machine: Machine, *, trains: bool) -> tuple[str, str]:
    """Return the name of a model that suits this number of images, and the reason.

    The most accurate model that encodes all images within ten minutes is chosen. If there is none,
    or if the method trains the model, the fastest model is chosen. If the chosen model is not
    cached and the Hugging Face hub does not answer, a cached model replaces it, if there is one.
    """
    fast = [model for model in KNOWN if machine.minutes(images * model.seconds) <= _MOST_MINUTES]
    best = KNOWN[-1] if trains or not fast else fast[0]
    cached = cached_models()
    if best.name not in cached and not answers(best.repository or ""):
        here = [*(model.name for model in KNOWN if model.name in cached), *cached]
        if here:
            reason = "it is on this machine, and the Hugging Face hub does not answer"
            return here[0], f"model: {here[0]}; {reason}"
    minutes = machine.minutes(images * best.seconds)
    time = f", encodes the images in about {minutes:.0f} min" if minutes >= 1 else ""
    licence = (licence_of(best.repository) or "").upper()
    return best.name, (
        f"model: {best.name} (licence {licence}; {best.imagenet} % zero-shot on ImageNet{time})"
    )


def refuse_unreachable(model: str, tiny: str) -> None:
    """Raise `LatteError` if `model` must be downloaded and the Hugging Face hub does not answer.

    `tiny` is the argument that chooses the tiny CLIP, which needs no download.
    """
    repository = needs_download(model)
    if repository is None or answers(repository):
        return
    cached = cached_models()
    ways = [
        f"only to try latte, because its labels are poor: {tiny}",
        "or name a model folder: local-dir:FOLDER",
        *([f"or name a model that is on this machine: {some(cached)}"] if cached else []),
    ]
    what = f"{model} must be downloaded, and the Hugging Face hub does not answer"
    raise LatteError(what, hint="\n  ".join(ways))


def refuse_backbone(model: str, registry: Registry) -> None:
    """Raise `LatteError` if `model` names a plugin's backbone instead of an open_clip model."""
    backbone = next(
        (
            backbone
            for backbone in registry.all("backbone")
            if backbone.distribution != BUILTIN_DISTRIBUTION
            and model in (backbone.spec.name, backbone.full_name)
        ),
        None,
    )
    if backbone is None or model.replace("/", "-") in model_names():
        return
    fields = registry.options_model(backbone).model_fields
    needed = [name for name, option in fields.items() if option.is_required()]
    changes = [f"backbone.use={model}", *(f"backbone.{name}={name.upper()}" for name in needed)]
    command = " ".join(["latte run adapt", *(f"--set {change}" for change in changes)])
    what = f"{model} is a backbone, and this option takes models of open_clip only"
    hint = f"use the backbone in a recipe: IMAGES=DIR CLASSES=FILE {command}"
    raise LatteError(what, where="--model", hint=hint)
