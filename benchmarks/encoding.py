"""Time in which CLIPs and image-only encoders encode an image, with random weights.

Prints processor time per image on one thread of a CPU, for batches of 16 images, and the memory
that stage `zero-shot` needs for the features of many images, with and without an encoder.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

import timm
import torch
from open_clip.factory import create_model
from open_clip.model import CLIP
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measuring import Timed, peak_memory, say
from latte.models.zero_shot import ImageFeatures, ZeroShot, load_zero_shot, save_zero_shot

BATCH = 16
CLIPS = ("ViT-B-32", "ViT-B-16")
ENCODERS: Mapping[str, tuple[str, int]] = {
    "DINOv2 ViT-S/14": ("vit_small_patch14_dinov2", 224),
    "DINOv2 ViT-B/14": ("vit_base_patch14_dinov2", 224),
    "EfficientNet-Lite2": ("tf_efficientnet_lite2", 260),
}
"""Model of timm, and side of its images, by title."""
_CLIP_WIDTH, _ENCODER_WIDTH = 512, 384


def main(arguments: Sequence[str]) -> None:
    """Measure, and print one line per model; with `--images`, the memory of features instead."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks encoding", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="memory of the features of this many images")
    parser.add_argument("--encoder", action="store_true", help="with --images: with an encoder")
    options = parser.parse_args(arguments)
    if options.images is not None:
        print_memory(options.images, with_encoder=options.encoder)
        return
    torch.set_num_threads(1)
    sides = [Timed(title, encode) for title, encode in towers()]
    for _ in range(options.rounds + 1):  # the first round loads kernels
        for side in sides:
            side.measure()
    clip_time = median(sides[0].cpu[1:])
    for side in sides:
        time = median(side.cpu[1:])
        say(
            f"{side.name:20} {1000 * time / BATCH:6.0f} ms per image  {time / clip_time:5.2f} times"
        )


def towers() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the title of each model, and a function that encodes a batch with it."""
    for name in CLIPS:
        clip = cast(CLIP, create_model(name)).eval()
        yield name, _encoding(clip.encode_image, 224)
    for title, (name, side) in ENCODERS.items():
        size: dict[str, Any] = {"img_size": side} if name.startswith("vit") else {}
        yield title, _encoding(timm.create_model(name, num_classes=0, **size).eval(), side)


def _encoding(encode: Callable[[Tensor], Tensor], side: int) -> Callable[[], object]:
    pixels = torch.zeros(BATCH, 3, side, side)

    def run() -> Tensor:
        with torch.inference_mode():
            return encode(pixels)

    return run


def print_memory(images: int, *, with_encoder: bool) -> None:
    """Save and load the features of stage `zero-shot`; print size of the file and peak memory."""
    peak_at_start = peak_memory()
    encoders = {}
    if with_encoder:
        encoders["dinov2-small"] = ImageFeatures(
            _unit_rows(images, _ENCODER_WIDTH), torch.zeros(0, _ENCODER_WIDTH)
        )
    zero_shot = ZeroShot(
        ImageFeatures(_unit_rows(images, _CLIP_WIDTH), torch.zeros(0, _CLIP_WIDTH)),
        _unit_rows(100, _CLIP_WIDTH),
        torch.zeros(images, dtype=torch.int64),
        encoders=encoders,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zero_shot.safetensors"
        save_zero_shot(path, zero_shot)
        size = path.stat().st_size / 2**20
        del zero_shot, encoders
        load_zero_shot(path)
    beside = "CLIP and an encoder" if with_encoder else "CLIP alone"
    peak = 1024 * (peak_memory() - peak_at_start)
    say(f"{beside}: file {size:.0f} MiB, peak memory {peak:.0f} MiB above that of the start")


def _unit_rows(rows: int, width: int) -> Tensor:
    return normalize(torch.randn(rows, width), dim=1)
