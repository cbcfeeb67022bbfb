"""Measure stages and the parts of a training step, for `latte run --profile`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from latte.backbone.precision import HALF, backward_in, choose_arithmetic
from latte.interfaces.record import StageRecord
from latte.io.files import write_json
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_stored
from latte.run.workspace import Workspace
from latte.train.timing import PARTS, WAITING, Stopwatch, measuring, wait_for

_SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices to multiply: so large that call overhead is negligible."""
_REPEATS = 5


class RunProfile:
    """Time measurements during a run; they do not change the results or the run ID."""

    def __init__(self, workspace: Workspace) -> None:
        self.device: str = workspace.device
        self.arithmetic = choose_arithmetic(
            workspace.recipe.train.precision, torch.device(self.device)
        )
        self.stages: dict[str, tuple[StageRecord, bool]] = {}
        """For each stage name: (record of the stage, True if the stage was reused)."""
        self.watch: Stopwatch | None = None
        """Times of the training steps; None if this process did not run the stage `train`."""
        self._trace = workspace.folder.trace

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the training steps inside the `with` block if the stage is `train`."""
        if name != "train":
            yield
            return
        self.watch = Stopwatch(self.device, self._trace)
        with measuring(self.watch):
            yield


def write_profile(folder: RunFolder, profile: RunProfile) -> None:
    """Write `profile.json`; if all stages were reused, keep the earlier measurements."""
    if folder.profile.exists() and all(reused for _, reused in profile.stages.values()):
        earlier = read_stored(folder.profile, dict[str, Any])
        with explained(folder.profile):
            reused = [{**stage, "reused": True} for stage in earlier["stages"]]
        write_json(folder.profile, {**earlier, "stages": reused})
        return
    watch = profile.watch
    done = watch is not None and watch.steps > 0
    write_json(
        folder.profile,
        {
            "device": profile.device,
            "arithmetic": profile.arithmetic,
            "threads": torch.get_num_threads(),
            "stages": _stages(folder, profile),
            "beside_steps": dict(watch.beside) if watch else {},
            "steps": _steps(profile, watch) if watch is not None and done else None,
            "trace": folder.relative(folder.trace) if done and folder.trace.exists() else None,
        },
    )


def _stages(folder: RunFolder, profile: RunProfile) -> list[dict[str, Any]]:
    training, evaluation = (
        _line_count(p) for p in (folder.training_images, folder.evaluation_images)
    )
    trained = (
        profile.watch.measured.images + profile.watch.looked_into.images if profile.watch else 0
    )
    image_count = training + evaluation
    images = dict.fromkeys(("data", "zero-shot", "evaluate"), image_count)
    images |= {"describe": training, "train": trained}
    return [
        {
            "name": name,
            "reused": reused,
            "seconds": record.seconds,
            "images_a_second": _rate(0 if reused else images.get(name, 0), record.seconds),
            "peak_memory_mb": record.peak_memory_mb,
        }
        for name, (record, reused) in profile.stages.items()
    ]


def _steps(profile: RunProfile, watch: Stopwatch) -> dict[str, Any]:
    """Return times and FLOPs of the training steps, for `profile.json`.

    Tracing and counting FLOPs slow a step down, so such steps are timed only if there are no
    others.
    """
    times = watch.measured if watch.measured.steps else watch.looked_into
    counted_images = watch.looked_into.images / max(1, watch.looked_into.steps)
    an_image = {part: watch.flops[part] / counted_images for part in PARTS}
    total, flops = sum(times.seconds.values()), sum(an_image.values())
    # On a CPU, CPU time is compared, because wall time includes the work of other processes.
    on_cpu = profile.device == "cpu"
    dtype = HALF.get(profile.arithmetic, torch.float32)
    clock = time.process_time if on_cpu else time.perf_counter
    with backward_in(profile.arithmetic):
        peak = matmul_throughput(profile.device, dtype, clock=clock)

    def rate(flops_an_image: float, seconds: float) -> float:
        return flops_an_image * times.images / seconds if seconds else 0.0

    return {
        "steps": times.steps,
        "timed_alone": times is watch.measured,
        "images": times.images,
        "seconds": total,
        "images_a_second": _rate(times.images, total),
        "waiting_share": times.seconds[WAITING] / total,
        "gflop_an_image": flops / 1e9,
        "gflop_a_second": rate(flops, total) / 1e9,
        "cpu_seconds": times.cpu_seconds,
        "share_of_product": rate(flops, times.cpu_seconds if on_cpu else total) / peak,
        "product_gflop_a_second": peak / 1e9,
        "looked_into": watch.looked_into.steps,
        "looked_into_seconds": sum(watch.looked_into.seconds.values()),
        "parts": [
            {
                "name": part,
                "seconds": times.seconds[part],
                "gflop_an_image": an_image[part] / 1e9,
                "gflop_a_second": rate(an_image[part], times.seconds[part]) / 1e9,
            }
            for part in PARTS
        ],
    }


def _rate(images: int, seconds: float) -> float | None:
    return images / seconds if images and seconds else None


def _line_count(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def matmul_throughput(
    device: str,
    dtype: torch.dtype,
    *,
    clock: Callable[[], float] = time.perf_counter,
    side: int | None = None,
) -> float:
    """Time a matrix product by `clock`; return the FLOPs per second of the best of five runs."""
    kind = torch.device(device).type
    side = side or _SIDES.get(kind, _SIDES["cpu"])
    factors = torch.randn(2, side, side, device=device).to(dtype)
    seconds = []
    for _ in range(_REPEATS):
        wait_for(device)
        start = clock()
        factors[0] @ factors[1]
        wait_for(device)
        seconds.append(clock() - start)
    return 2 * side**3 / max(min(seconds), 1e-9)
