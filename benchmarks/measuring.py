"""Helpers of measurements: timed sides, matmul throughput, printed lines."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from latte.interfaces import Backbone, LatteError
from latte.interfaces.progress import SilentProgress
from latte.io.memory import keep_freed_memory
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry, load_registry
from latte.results.folder import RunFolder
from latte.run.profile import matmul_throughput
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder
from latte.train.timing import count_flops, wait_for

ResultT = TypeVar("ResultT")
ROOT = Path(__file__).parents[1]
_OURS = (f"{ROOT}/latte/", f"{ROOT}/plugins/")


class Timed(Generic[ResultT]):
    """One side of a comparison, with its measurements and its last result."""

    def __init__(
        self,
        name: str,
        work: Callable[[], ResultT],
        device: str = "cpu",
        embedding: nn.Module | None = None,
    ) -> None:
        """`embedding` is the text tower's layer in which tokens are counted."""
        self.name = name
        self.work = work
        self.device = device
        self.result: ResultT
        self.wall: list[float] = []
        """Wall seconds, one value per repetition."""
        self.cpu: list[float] = []
        """CPU seconds of all threads."""
        self.flops = 0
        """FLOPs of one repetition in matmuls and convolutions."""
        self.tokens = 0
        """Tokens that `embedding` gets in one repetition."""
        self._embedding = embedding

    def measure(self) -> None:
        """Run `work` and measure its time."""
        wait_for(self.device)
        wall, cpu = time.perf_counter(), time.process_time()
        self.result = self.work()
        wait_for(self.device)
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)

    def begin(self) -> None:
        """Run `work` once as warm-up, and count its FLOPs and tokens."""
        with self.counted():
            self.result = self.work()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the FLOPs and tokens of the block, which is one repetition."""
        with count_flops() as counter, self._counted_tokens():
            yield
        self.flops = counter.get_total_flops()

    @contextmanager
    def _counted_tokens(self) -> Iterator[None]:
        if self._embedding is None:
            yield
            return

        def count(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            self.tokens += inputs[0].numel()

        with self._embedding.register_forward_pre_hook(count):
            yield

    def times(self, images: int) -> str:
        """Return the medians as text, given the `images` per repetition."""
        wall, cpu = median(self.wall), median(self.cpu)
        return (
            f"{self.name}: {wall:.3f} s a round ({cpu:.3f} s of CPU), {images / wall:.2f} images/s"
        )

    def line(self, images: int, peak: float) -> str:
        """Return the medians and counts, with the share of the matmul throughput `peak`."""
        return (
            f"{self.times(images)}, {self.tokens / images:.1f} tokens and "
            f"{self.flops / images / 1e9:.2f} GFLOP an image, "
            f"{100 * self.share(peak):.0f} % of the product's rate"
        )

    def share(self, peak: float) -> float:
        """Return the share of the matmul throughput `peak` that `peak_rate` returned."""
        # On a CPU, CPU seconds are compared, because other processes may use the CPU too.
        return self.flops / median(self.cpu if self.device == "cpu" else self.wall) / peak


def comparison_parser(
    name: str, about: str | None, sides: Sequence[str], rounds: int
) -> argparse.ArgumentParser:
    """Return a parser with the options of benchmarks whose two sides take turns."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=about)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--side", choices=("both", *sides), default="both", help="one alone, for its peak memory"
    )
    return parser


def parse_comparison(
    parser: argparse.ArgumentParser, arguments: Sequence[str], sides: Sequence[str]
) -> tuple[argparse.Namespace, Sequence[str]]:
    """Parse arguments and apply them to this process; return them and the chosen sides."""
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    return options, sides if options.side == "both" else (options.side,)


def take_turns(
    sides: Sequence[Timed[Any]], rounds: int, check: Callable[[], None] = lambda: None
) -> None:
    """Warm up each side, then measure each in `rounds` rounds; `check` runs after each round."""
    for turn in (Timed.begin, *[Timed.measure] * rounds):
        for side in sides:
            turn(side)
        check()


def report(
    options: argparse.Namespace,
    about: str,
    sides: Sequence[Timed[Any]],
    images: int,
    peak: float,
    equality: str,
    *more_lines: str,
) -> dict[str, float]:
    """Print a comparison; return the last side's measurements for tables.

    `images` are those of a repetition. The line `equality` is printed if both sides were measured.
    """
    place = "CPU" if options.device == "cpu" else options.device
    say(
        heading(about, options),
        f"a large matrix product: {peak / 1e9:.0f} GFLOP a second of {place}",
        *(side.line(images, peak) for side in sides),
        *([ratio_line(*sides), equality] if len(sides) == 2 else ()),
        *more_lines,
        memory_line(options.device),
    )
    latte_side, seconds = sides[-1], median(sides[-1].wall)
    figures = {
        "seconds": seconds,
        "images per second": images / seconds,
        "share of product": latte_side.share(peak),
        "peak GiB": peak_memory(latte_side.device),
    }
    return figures if len(sides) == 1 else figures | {"ratio": median(sides[0].wall) / seconds}


def heading(about: str, options: argparse.Namespace) -> str:
    """Return the line that says what is measured, and how."""
    return (
        f"{about}, threads {options.threads}, medians of {options.rounds} rounds, "
        f"torch {torch.__version__}"
    )


def peak_rate(dtype: torch.dtype = torch.float32, device: str = "cpu") -> float:
    """Measure FLOPs per second in a large matmul: per CPU second, or per second on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    # A CPU that does not compute in fp16 takes minutes for the usual size.
    side = 256 if device == "cpu" and dtype == torch.float16 else None
    return matmul_throughput(device, dtype, clock=clock, side=side)


def ratio_line(plain: Timed[Any], latte: Timed[Any]) -> str:
    """Return the speed-up of `latte`: the median over the repetitions."""
    line = (
        f"ratio: {median(plain.wall) / median(latte.wall):.2f} by the clock, "
        f"{median(plain.cpu) / median(latte.cpu):.2f} in CPU time"
    )
    return f"{line}, {plain.flops / latte.flops:.2f} in operations" if latte.flops else line


def peak_memory(device: str = "cpu") -> float:
    """Return the peak memory in GiB: of this process on a GPU, or else its resident size."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def memory_line(device: str = "cpu") -> str:
    """Return the line that reports `peak_memory`."""
    return f"peak memory of the process: {peak_memory(device):.2f} GiB"


def say(*lines: str) -> None:
    """Print `lines` at once, as the next ones may take minutes."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]] = ()) -> str:
    """Return a table in Markdown; without rows, the two lines that begin it."""
    return "\n".join(map(table_row, [head, ["---"] * len(head), *rows]))


def line_of_latte() -> str:
    """Return file and line of the innermost frame in latte or a plugin: `latte/cli/run.py:10`."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        return "no line of latte"
    return f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{frame.f_lineno}"


def evaluated_run(
    path: Path,
    output: Path,
    registry: Registry | None = None,
    overrides: Sequence[str] = (),
    limit: int | None = None,
) -> RunFolder:
    """Run a recipe up to stage `evaluate` below `output`, and return its folder."""
    registry = registry or load_registry()
    recipe = load_recipe(path, registry, overrides)
    run_recipe(recipe, registry, SilentProgress(), until="evaluate", limit=limit, output=output)
    return run_folder(recipe, limit, output)


def no_clip() -> Backbone:
    """Raise an `AssertionError`; used if no component may load the frozen CLIP."""
    raise AssertionError("nothing that is measured here needs the frozen CLIP")


def no_descriptions(name: str) -> torch.Tensor:
    """Raise `LatteError`, because there are no descriptions."""
    raise LatteError(f'the method asks for the description "{name}", and there are none here')
