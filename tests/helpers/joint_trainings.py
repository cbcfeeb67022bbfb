"""Train in one process or several: `torchrun -m tests.helpers.joint_trainings FOLDER`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_cached_images
from latte.distributed.joining import joined
from latte.interfaces import NoOptions, Trunk
from latte.interfaces.settings import OptimizerSettings
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.clip_models import open_model
from tests.helpers.method_doubles import (
    AgreementLabeler,
    MaskedCrossEntropy,
    StepTemplates,
    TemperatureLoss,
)
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import (
    LAST_BLOCK,
    SETTINGS,
    Part,
    latteclip_part,
    make_training,
    with_settings,
)
from tests.helpers.training_runs import outcome, reclip_parts, stop_after


def class_texts_with_gradient() -> Part:
    prototypes = StepTemplates(NoOptions(), CONTEXT)
    return Part("main", "all", prototypes, MaskedCrossEntropy(NoOptions(), CONTEXT))


def trained_temperature() -> Part:
    loss = TemperatureLoss(NoOptions(), CONTEXT)
    return replace(latteclip_part(), loss=loss)


def two_learners() -> dict[str, Any]:
    return {"parts": reclip_parts(), "labelers": [AgreementLabeler(NoOptions(), CONTEXT)]}


def settings(**changes: Any) -> dict[str, Any]:
    return {"settings": with_settings(SETTINGS, **changes)}


def last_block(**changes: Any) -> dict[str, Any]:
    return {"parts": [latteclip_part(trainable=LAST_BLOCK)], **settings(**changes)}


TRAININGS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "latteclip": dict,
    "class-texts": lambda: {"parts": [class_texts_with_gradient()]},
    "two-learners": two_learners,
    "loss-parameters": lambda: {
        "parts": [trained_temperature()],
        **settings(micro_batch_size=2),
    },
    "micro-batches": lambda: settings(micro_batch_size=1),
    "one-image": lambda: settings(batch_size=1),
    "images-alone": lambda: {"parts": [latteclip_part(trainable="visual_layer_norms")]},
    "texts-alone": lambda: {"parts": [latteclip_part(trainable="text_layer_norms")]},
    "cached-states": lambda: last_block(augment=None, micro_batch_size=2),
    "cached-texts": lambda: last_block(batch_size=5),
    "sgd": lambda: settings(optimizer=OptimizerSettings(name="sgd", learning_rate=0.01)),
    "clipped": lambda: settings(
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.05, gradient_clip=0.1)
    ),
}
"""Changes of each training. There are 15 images, so that batches have odd sizes."""


def training(folder: Path, name: str, run: str) -> Training:
    """Return the training `name` on images and CLIP in `folder`, which writes below `run`."""
    clip = folder / "clip"
    frozen = open_model(f"local-dir:{clip}", clip)
    images = folder / "images"
    without_states = make_training(
        frozen, images, folder / run, RecordedProgress(), **TRAININGS[name]()
    )

    def states(trunk: Trunk, trained: Sequence[str]) -> Tensor:
        return encode_cached_images(
            frozen, without_states.images, 5, RecordedProgress(), "states", trunk=trunk
        )

    return replace(without_states, image_states=states)


def main(folder: Path) -> None:
    """Run every training, resume one that was stopped, and save the results of each process."""
    start = distributed.start_of(os.environ)
    assert start is not None
    with joined(start):
        count = distributed.world_size()
        for name in (*TRAININGS, "latteclip"):
            run = f"{count}/{name}"
            finish(folder, name, f"{run}-again" if (folder / run).exists() else run)
        stop_after(5, training(folder, "latteclip", f"{count}/stopped"))
        distributed.barrier()
        if distributed.is_main_process():
            shutil.copytree(folder / f"{count}/stopped", folder / f"{count}/stopped-for-one")
        distributed.barrier()
        finish(folder, "latteclip", f"{count}/stopped")


def finish(folder: Path, name: str, run: str) -> None:
    distributed.barrier()
    done = training(folder, name, run)
    train(done, RecordedProgress())
    if distributed.is_main_process():
        (folder / run).mkdir(exist_ok=True)
    distributed.barrier()
    tensors = {key: value.clone() for key, value in outcome(done).items()}
    save_file(tensors, folder / run / f"of-{distributed.rank()}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
