"""Train on the pretended device, and write the counts of each step to a JSON file.

`python -m tests.helpers.pretended_steps FILE` runs in a process of its own: torch counts the
devices when it first computes a gradient.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from latte_flyp.flyp import FlypOptions, FlypPrototypes
from latte_reclip.reclip import LabelPropagationLabeler, LabelPropagationOptions
from latte_selftaught.labeler import SelfTaughtLabeler, SelfTaughtOptions

from benchmarks import gpu_parts, latte_step, step_problem
from latte.backbone.open_clip import OpenClipBackbone
from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.data import batches
from latte.interfaces import Batch, LatteError, NoOptions
from latte.interfaces.settings import Precision
from latte.toolkit.prototypes import LabelerPrototypes
from latte.train import loop
from latte.train.step import training_step
from tests.helpers.clip_models import TINY_CLIP, build_clip
from tests.helpers.method_doubles import MaskedCrossEntropy, StepTemplates
from tests.helpers.pretended_device import (
    DEVICE,
    Counts,
    MixedDevicesError,
    pretended_device,
    to_device,
)
from tests.helpers.recorded import RecordedProgress, write_colour_images
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import LAST_BLOCK, SETTINGS, Part, make_training, with_settings


@cache
def clip() -> OpenClipBackbone:
    """Return the frozen CLIP, on the device."""
    frozen = build_clip(TINY_CLIP)
    to_device(frozen.model)
    return frozen


ON_DEVICE = replace(CONTEXT, device=DEVICE, frozen_clip=clip)
BATCH = 512
LAYERS = 12


def part(
    trainable: Any = "all", prototypes: Any = None, loss: Any = None, name: str = "main"
) -> Part:
    return Part(
        name,
        trainable,
        prototypes or MomentumPrototypes(MomentumOptions(momentum=0.9), ON_DEVICE),
        loss or ContrastiveLoss(NoOptions(), ON_DEVICE),
    )


def class_texts() -> dict[str, Any]:
    templates = StepTemplates(NoOptions(), ON_DEVICE)
    return {"parts": [part(prototypes=templates)], "described": False}


def flyp() -> dict[str, Any]:
    return {"parts": [part(prototypes=FlypPrototypes(FlypOptions(), ON_DEVICE))]}


def self_taught() -> dict[str, Any]:
    labeler = SelfTaughtLabeler(SelfTaughtOptions(), ON_DEVICE)
    prototypes = LabelerPrototypes(NoOptions(), ON_DEVICE)
    return {"parts": [part(prototypes=prototypes)], "labelers": [labeler]}


def reclip() -> dict[str, Any]:
    loss = MaskedCrossEntropy(NoOptions(), ON_DEVICE)
    texts = StepTemplates(NoOptions(), ON_DEVICE)
    images = LabelerPrototypes(NoOptions(), ON_DEVICE)
    return {
        "parts": [
            part("text_layer_norms", texts, loss, "text"),
            part("visual_layer_norms", images, loss, "visual"),
        ],
        "labelers": [LabelPropagationLabeler(LabelPropagationOptions(neighbours=3), ON_DEVICE)],
    }


def with_train(**changes: Any) -> dict[str, Any]:
    return {"settings": with_settings(SETTINGS, **changes)}


TRAININGS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "published": dict,
    "bf16": partial(with_train, precision="bf16"),
    "micro-batches": partial(with_train, micro_batch_size=2),
    "frozen texts": lambda: {"parts": [part("visual_layer_norms")]},
    "frozen images": lambda: {"parts": [part("text_layer_norms")]} | with_train(augment=None),
    "last block": lambda: {"parts": [part(LAST_BLOCK)]},
    "class texts": class_texts,
    "flyp": flyp,
    "reclip": reclip,
    "self-taught": self_taught,
}
_DEVICE, _TO_DEVICE = ", device=is_removed.device", ".to(self.context.device)"
_TO_IMAGES = ".to(image_features.device, non_blocking=True)"
_REMOVED, _READ = "is_removed = weights == 0", "bool(is_removed.any())"
_COPY = ".to(device, non_blocking=True)"
MUTANTS: Mapping[str, tuple[Any, str, str, str]] = {
    "tensor on the wrong device in a loss": (ContrastiveLoss, "__call__", _DEVICE, ""),
    "class features left on the CPU": (MomentumPrototypes, "start", _TO_DEVICE, ".cpu()"),
    "labels left on the CPU": (FrozenLabeler, "assign", _TO_IMAGES, ""),
    "tensor read in a loss": (ContrastiveLoss, "__call__", _REMOVED, f"{_REMOVED}; {_READ}"),
    "copy that waits in a labeler": (FrozenLabeler, "assign", ", non_blocking=True", ""),
    "copy of views that waits": (batches, "_on_device", _COPY, ".to(device)"),
}
"""Owner and name of a function, and the text that replaces another in it."""


def train(folder: Path, counts: Counts, name: str, run: str = "run") -> dict[str, Any]:
    """Run a training; return the counts of its steps, and of the copies of its views."""
    options = {
        "parts": [part()],
        "labelers": [
            CurrentLabeler(StreamOptions(), ON_DEVICE),
            FrozenLabeler(StreamOptions(), ON_DEVICE),
        ],
        **TRAININGS[name](),
    }
    run_folder, progress = folder / run / name, RecordedProgress()
    training = make_training(clip(), folder / "images", run_folder, progress, **options)
    if not any(labeler.needs_feature_banks for labeler in training.inputs.labelers):
        # Labelers with feature banks use sparse matrices, which the device does not have.
        features = training.start.image_features.to(DEVICE)
        training = replace(training, start=replace(training.start, image_features=features))
    calls: dict[str, list[Any]] = {"steps": [], "views": []}
    with (
        counted(calls["steps"], counts, loop, "_step"),
        counted(calls["views"], counts, batches, "_on_device"),
    ):
        loop.train(training, progress)
    return calls


@contextmanager
def counted(summaries: list[Any], counts: Counts, owner: Any, name: str) -> Iterator[None]:
    """Add the counts of each call of a function to `summaries`."""
    plain = getattr(owner, name)

    def watched(*arguments: Any) -> Any:
        counts.reset()
        result = plain(*arguments)
        summaries.append(summary(counts))
        return result

    with mock.patch.object(owner, name, watched):
        yield


def summary(counts: Counts) -> dict[str, Any]:
    return {
        "launches": sum(counts.launches.values()),
        "most launches": counts.launches.most_common(8),
        "waits": sum(counts.waits.values()),
        "lines": dict(counts.waits),
    }


def large_step(counts: Counts, precision: Precision) -> dict[str, Any]:
    """Return the counts of a published step at batch 512 with narrow towers of twelve layers."""
    problem = step_problem.make_problem("tiny", BATCH, DEVICE)
    step = latte_step.LatteStep(problem, precision)
    for number in range(2):
        counts.reset()
        batch = Batch("main", step.indices, 0, number)
        training_step(step.learner, step.inputs, batch, problem.pixels)
    return summary(counts)


def waits_of(counts: Counts, work: Callable[[], object], device: str) -> Counter[str]:
    """Count the waits of `work` as the benchmark counts those of a GPU."""
    counts.reset()
    work()
    return Counter(counts.waits)


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Replace a function by its mutant."""
    owner, function, old, new = MUTANTS[name]
    plain = getattr(owner, function)
    source = textwrap.dedent(inspect.getsource(plain))
    assert old in source, f"the mutant {name!r} has no place"
    names = dict(vars(sys.modules[plain.__module__]))
    exec("from __future__ import annotations\n" + source.replace(old, new), names)
    with mock.patch.object(owner, function, names[function]):
        yield


def mutant(folder: Path, counts: Counts, name: str) -> dict[str, Any]:
    """Return the error of a published training with a mutant, or its counts.

    The error names the line that mixes devices, or the component whose value is on a wrong device.
    """
    with mutated(name):
        try:
            return train(folder, counts, "published", name)
        except (MixedDevicesError, LatteError) as error:
            return {"error": str(error)}


def main() -> None:
    torch.set_num_threads(1)
    towers = step_problem._TINY
    for tower in ("vision_cfg", "text_cfg"):
        towers[tower] |= {"layers": LAYERS, "width": 16}
    towers["vision_cfg"]["head_width"] = 8
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    with tempfile.TemporaryDirectory() as temporary, pretended_device() as counts:
        folder = Path(temporary)
        write_colour_images(folder / "images", ("red", "green", "blue"), 5, (40, 36))
        report: dict[str, Any] = {
            "trainings": {name: train(folder, counts, name) for name in TRAININGS},
            "large": {name: large_step(counts, name) for name in ("fp32", "bf16")},
        }
        with mock.patch.object(gpu_parts, "waits_of", partial(waits_of, counts)):
            report["benchmark"] = gpu_parts.count_waits(gpu_parts.PartPlace(DEVICE, folder))
        report["mutants"] = {name: mutant(folder, counts, name) for name in MUTANTS}
    Path(sys.argv[1]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
