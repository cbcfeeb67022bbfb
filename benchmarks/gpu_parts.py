"""The parts of `python -m benchmarks gpu`. Each part returns figures or raises an error."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks import describe, epoch, step
from benchmarks.latte_step import LatteStep
from benchmarks.measuring import ROOT, evaluated_run, line_of_latte
from benchmarks.step import PRECISIONS
from benchmarks.step_problem import StepProblem, make_problem
from latte.interfaces import Batch, LatteError
from latte.results.folder import RunFolder
from latte.results.stages import STAGES
from latte.train.step import training_step

PartFigures = dict[str, Any]
_RECIPES = (
    *("zero-shot", "training-free", "demo", "self-taught", "multi-prototype"),
    *("flyp", "reclip", "five-types"),
)
_WAITS = "synchronizing CUDA operation"
"""Part of torch's warning that Python waits for the GPU."""


@dataclass(frozen=True)
class PartPlace:
    """Device and sizes of a part, and the folder for its files."""

    device: str
    folder: Path

    @property
    def small(self) -> bool:
        """True on a CPU, where tiny sizes only show that the parts run."""
        return not self.device.startswith("cuda")

    @property
    def shape(self) -> str:
        """Name of the CLIP's shape."""
        return "tiny" if self.small else "ViT-B-32"

    def size(self, large: int, small: int) -> int:
        """Return `small` on a CPU, else `large`."""
        return small if self.small else large

    def problem(self) -> StepProblem:
        """Return a problem with the published batch size."""
        return make_problem(self.shape, self.size(512, 8), self.device)


def run_one(name: str, place: PartPlace) -> PartFigures:
    """Run a recipe of the demo's kind on a few photos."""
    folder = _run(place, name, place.device, place.folder / "recipes")
    records = [record for stage in STAGES if (record := folder.results.recorded(stage))]
    return {
        "seconds": sum(record.seconds for record in records),
        "peak GiB": max(record.peak_memory_mb or 0.0 for record in records) / 1024,
    }


def measure(
    main: Callable[[Sequence[str]], PartFigures],
    side: str,
    options: Mapping[str, str | tuple[int, int]],
    place: PartPlace,
) -> PartFigures:
    """Run another measurement; sizes are those on a GPU and on a CPU."""
    values = {"device": place.device, "shape": place.shape, "side": side, **options}
    settings = {
        name: place.size(*value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }
    return main([f"--{name}={value}" for name, value in settings.items() if value])


def describe_images(dtype: str, place: PartPlace) -> PartFigures:
    """Measure the tiny LMM, in batches and image by image."""
    sizes = {"images": (64, 3), "batch": (32, 3), "rounds": (1, 1)}
    return measure(describe.main, "both", {"shape": "", "dtype": dtype, **sizes}, place)


def count_waits(place: PartPlace) -> PartFigures:
    """Return the lines at which Python waits for the device in a step."""
    problem = place.problem()
    ours = LatteStep(problem, "auto")

    def take_step(number: int) -> None:
        batch = Batch("main", ours.indices, 0, number)
        training_step(ours.learner, ours.inputs, batch, problem.pixels)

    take_step(0)  # warm-up: later calls reuse what the first one compiles and allocates
    lines = waits_of(partial(take_step, 1), place.device)
    return {"waits of step": sum(lines.values()), "lines of step": dict(lines)}


def waits_of(work: Callable[[], object], device: str) -> Counter[str]:
    """Run `work`; return how often each line of latte makes Python wait for the GPU."""
    lines: Counter[str] = Counter()
    if not device.startswith("cuda"):
        work()
        return lines

    def count(message: object, *ignored: object, **also_ignored: object) -> None:
        if _WAITS in str(message):
            lines[line_of_latte()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = count
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return lines


def same_bits_twice(place: PartPlace) -> PartFigures:
    """Run the demo twice with `deterministic: true`; prototypes must have the same bits."""
    runs = [
        _run(place, "demo", place.device, place.folder / f"bits-{number}", "deterministic=true")
        for number in range(2)
    ]
    return _same_prototypes(*runs)


def kill_and_resume(place: PartPlace) -> PartFigures:
    """Kill a run between two checkpoints and resume it; results must equal an undisturbed run's."""
    often = ("deterministic=true", "train.batch_size=10", "train.checkpoint_every=1")
    uninterrupted = _run(place, "demo", place.device, place.folder / "whole", *often)
    output = place.folder / f"killed-{time.time_ns()}"
    arguments = [str(_recipe("demo")), "--limit", str(_limit(place)), "--set", f"output={output}"]
    for setting in _settings(place.device, often):
        arguments += ["--set", setting]
    command = [sys.executable, "-m", "latte", "run", *arguments, "--until", "evaluate", "-q"]
    process = subprocess.Popen(command, cwd=ROOT)
    while not [*output.glob("*/checkpoints/step-*[2-9]")]:
        if process.poll() is not None:
            raise LatteError("the run ended before it could be killed")
        time.sleep(0.01)
    process.kill()
    process.wait()
    left = max(path.name for path in output.glob("*/checkpoints/step-*"))
    resumed = _run(place, "demo", place.device, output, *often)
    return {"killed after": left, **_same_prototypes(uninterrupted, resumed)}


def same_as_cpu(name: str, place: PartPlace) -> PartFigures:
    """Run a recipe in fp32 on the device and on the CPU; compare predictions and prototypes."""
    setting = "train.precision=fp32"
    ours = _run(place, name, place.device, place.folder / "here", setting)
    cpu_run = _run(place, name, "cpu", place.folder / "cpu", setting)
    rows = [*zip(_predicted(ours), _predicted(cpu_run), strict=True)]
    return {
        "images": len(rows),
        "other predictions": sum(label != another for label, another in rows),
        "prototypes differ by": _difference(ours, cpu_run),
    }


def _same_prototypes(run: RunFolder, other_run: RunFolder) -> PartFigures:
    difference = _difference(run, other_run)
    if difference:
        raise LatteError(f"the prototypes of two runs differ by up to {difference:.1e}")
    return {"prototypes differ by": difference}


def _difference(run: RunFolder, other_run: RunFolder) -> float:
    prototypes, other_prototypes = (
        load_file(folder.path / "models/adapted/prototypes.safetensors")
        for folder in (run, other_run)
    )
    return max(
        (prototypes[name].double() - other_prototypes[name].double()).abs().max().item()
        for name in prototypes
    )


def _predicted(folder: RunFolder) -> list[str]:
    with folder.predictions.open(encoding="utf-8", newline="") as file:
        return [row["class_1"] for row in csv.DictReader(file)]


def _run(place: PartPlace, name: str, device: str, output: Path, *settings: str) -> RunFolder:
    """Run a recipe on a few photos up to stage `evaluate`, and return the run folder."""
    overrides = _settings(device, settings)
    return evaluated_run(_recipe(name), output, overrides=overrides, limit=_limit(place))


def _settings(device: str, settings: Sequence[str]) -> list[str]:
    return [f"device={device}", "controls={}", *settings]


def _recipe(name: str) -> Path:
    return ROOT / "recipes" / f"{name}.yaml"


def _limit(place: PartPlace) -> int:
    return place.size(200, 40)


def _steps(
    side: str, precision: str, **sizes: tuple[int, int]
) -> Callable[[PartPlace], PartFigures]:
    return partial(measure, step.main, side, {"precision": precision, **sizes})


def _epochs(precision: str) -> Callable[[PartPlace], PartFigures]:
    sizes = {"images": (1024, 6), "batch": (512, 3), "rounds": (2, 1)}
    return partial(measure, epoch.main, "latte", {"precision": precision, **sizes})


PARTS: Mapping[str, Callable[[PartPlace], PartFigures]] = {
    **{f"recipe {name}": partial(run_one, name) for name in _RECIPES},
    **{
        f"step {precision}": _steps("latte", precision, batch=(512, 8), rounds=(10, 1))
        for precision in PRECISIONS
    },
    **{
        f"step {precision} and textbook": _steps("both", precision, batch=(64, 8), rounds=(3, 1))
        for precision in ("fp32", "bf16")
    },
    **{f"epoch {precision}": _epochs(precision) for precision in PRECISIONS},
    **{
        f"describe {precision}": partial(describe_images, precision)
        for precision in ("float32", "bfloat16", "float16")
    },
    "waits": count_waits,
    "same bits twice": same_bits_twice,
    "kill and resume": kill_and_resume,
    "as on the CPU without training": partial(same_as_cpu, "training-free"),
    "as on the CPU with training": partial(same_as_cpu, "demo"),
}
"""The parts by name, in the order in which they run."""
