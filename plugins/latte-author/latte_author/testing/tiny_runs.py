"""Run whole recipes within seconds, and test that resumed runs are bit-identical.

The runs use 12 images of coloured squares and a tiny CLIP, inside the test process.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import distribution
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from latte.api import PrototypeAggregator
from latte.api.plugins import BUILTIN_DISTRIBUTION, load_registry

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
"""Configuration of the tiny CLIP: a `model_cfg` of open_clip."""


def write_tiny_clip(folder: Path) -> None:
    """Write a tiny CLIP with fixed random weights; its name in recipes is `local-dir:FOLDER`."""
    from open_clip.model import CLIP  # imported late, because it takes a second

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CONFIG)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"model_cfg": CONFIG, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


COLOURS = ("red", "green", "blue")
DATASET = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
"""
"""Section `dataset` of a recipe, for the images of `TinyRuns`."""
SQUARES = f"""\
{DATASET}backbone: {{model: "local-dir:clip"}}
"""
"""Sections `dataset` and `backbone` of a recipe, for the images and the CLIP of `TinyRuns`."""
_INTERRUPTED = 130


@dataclass(frozen=True)
class Said:
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str


class TinyRuns:
    r"""Folder with a tiny CLIP and images of squares, in which latte can run recipes.

    `images` has 12 training images, `test` six labelled images, and `clip` the CLIP, which recipes
    name `local-dir:clip`. The CLIP has random weights, width 16 and an image size of 32 pixels.
    Caches and runs are in the same folder.

    Example:
        >>> from pathlib import Path
        >>> from latte_author.testing import TinyRuns
        >>> runs = TinyRuns(Path("squares").absolute())
        >>> runs.check("prototypes: {use: templates}\ntrain: {max_steps: 0}")["seed"]
        0
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_tiny_clip(folder / "clip")
        for number in range(12):
            write_square(folder / "images" / f"{number:02}.png", COLOURS[number % 3], number)
        for number in range(6):
            colour = COLOURS[number % 3]
            write_square(folder / "test" / colour / f"{number}.png", colour, number + 20)

    def latte(self, *arguments: str) -> Said:
        """Run `latte ARGUMENTS` in the folder and return its exit code and output."""
        out, err = StringIO(), StringIO()
        with ExitStack() as stack:
            stack.enter_context(chdir(self.folder))
            stack.enter_context(mock.patch.dict(os.environ, LATTE_CACHE=str(self.folder / "cache")))
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(err))
            stack.enter_context(mock.patch("sys.argv", ["latte", *arguments]))
            code = _exit_code()
        return Said(code, out.getvalue(), err.getvalue())

    def check(self, recipe: str, *changes: str) -> Any:
        """Check `recipe`, given as YAML text, and return it with all defaults and `changes`."""
        options = [f"--set={change}" for change in changes]
        outcome = self.latte("check", self._written(recipe), "--json", *options)
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)["recipe"]

    def run(
        self,
        recipe: str,
        *changes: str,
        output: str = "runs",
        until: str = "report",
        stop_after: int | None = None,
    ) -> Path:
        """Run `recipe`, given as YAML text, and return its run folder.

        Args:
            recipe: a recipe. Without a section `dataset`, the sections `dataset` and `backbone`
                are added; if the recipe has a section `backbone`, only `dataset` is added.
            changes: changes of the recipe, `KEY=VALUE`, as for `--set`.
            output: folder in which the run folder is created.
            until: the last stage to run.
            stop_after: number of training steps, of all learners together, after which the run is
                stopped as by Ctrl-C.

        Raises:
            AssertionError: if the exit code is wrong; the message has the output of latte.
        """
        options = [f"--set={change}" for change in (f"output={output}", *changes)]
        with ExitStack() as stack:
            if stop_after is not None:
                aggregators = self._aggregators(recipe, *changes)
                stack.enter_context(stopped_after(stop_after, aggregators))
            outcome = self.latte("run", self._written(recipe), "--until", until, *options)
        expected_code = 0 if stop_after is None else _INTERRUPTED
        assert outcome.code == expected_code, (
            f"exit code {outcome.code}, not {expected_code}\n{outcome.err}"
        )
        (line,) = [line for line in outcome.out.splitlines() if line.startswith("run folder: ")]
        return self.folder / line.removeprefix("run folder: ")

    def remove(self, output: str) -> None:
        """Delete the folder `output` and the run folders in it, to free disk space."""
        shutil.rmtree(self.folder / output)

    def _aggregators(self, recipe: str, *changes: str) -> set[type[PrototypeAggregator[Any]]]:
        """Return the classes of the recipe's prototypes."""
        registry = load_registry()
        names = [
            learner["prototypes"]["use"] for learner in self.check(recipe, *changes)["learners"]
        ]
        loaded = [registry.load(registry.get("prototypes", name)) for name in names]
        return {cls for cls in loaded if issubclass(cls, PrototypeAggregator)}

    def _written(self, recipe: str) -> str:
        has_backbone = any(line.startswith("backbone:") for line in recipe.splitlines())
        added_sections = DATASET if has_backbone else SQUARES
        full_recipe = recipe if "dataset:" in recipe else added_sections + recipe
        (self.folder / "recipe.yaml").write_text(full_recipe, encoding="utf-8")
        return "recipe.yaml"


def write_square(path: Path, colour: str, number: int) -> None:
    """Write an image in `colour` with a grey bar that depends on `number`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (40, 36), colour)
    image.paste((40 + 8 * number,) * 3, (number, number, number + 12, 30))
    image.save(path)


def _exit_code() -> int:
    """Run the program `latte` in this process, with the arguments in `sys.argv`."""
    scripts = distribution(BUILTIN_DISTRIBUTION).entry_points.select(group="console_scripts")
    try:
        scripts["latte"].load()()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@contextmanager
def stopped_after(
    steps: int, aggregators: Collection[type[PrototypeAggregator[Any]]]
) -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the step after `steps` training steps of these prototypes.

    Each step calls `update` of its learner's prototypes once.
    """
    remaining_steps = iter(range(steps))
    with ExitStack() as stack:
        for aggregator in aggregators:
            update = aggregator.update

            def counted(*arguments: Any, update: Any = update) -> None:
                if next(remaining_steps, None) is None:
                    raise KeyboardInterrupt
                update(*arguments)

            stack.enter_context(mock.patch.object(aggregator, "update", counted))
        yield


def results(run: Path) -> dict[str, bytes]:
    """Return the results that equal runs reproduce exactly, by the name of their file or fact.

    Models of control runs are left out.
    """
    names = (
        "descriptions.jsonl",
        "metrics.jsonl",
        "predictions.csv",
        "pseudo_labels.csv",
    )
    tensor_names = [
        path.relative_to(run).as_posix() for path in run.glob("models/**/*.safetensors")
    ]
    files = {name: (run / name).read_bytes() for name in sorted([*names, *tensor_names])}
    facts = json.loads((run / "results.json").read_bytes())["evaluate"]
    facts["models"] = [model for model in facts["models"] if model["role"] != "control"]
    return files | {name: json.dumps(fact).encode() for name, fact in facts.items()}


class RunContract:
    r"""Tests of complete runs; a subclass sets `recipe`.

    The tests find components that do not save and restore all of their state.

    Example:
        >>> from latte_author.testing import RunContract
        >>> class TestRunsOfMyLabeler(RunContract):
        ...     recipe = (
        ...         "labels: [{use: my-labeler}]\n"
        ...         "prototypes: {use: from-labeler}\n"
        ...         "loss: {use: contrastive}\n"
        ...         "train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2}\n"
        ...     )

    To test a backbone, add a section such as `backbone: {use: mine}` to `recipe`.
    """

    recipe: ClassVar[str]
    """Recipe as YAML text, without the section `dataset`, because latte adds the images of
    `TinyRuns`. If the section `backbone` is missing too, the CLIP of `TinyRuns` is added. Use
    batches of 4 of the 12 images, several epochs and `checkpoint_every: 2`."""
    stops: ClassVar[Sequence[int]] = (1, 4)
    """Steps, summed over all learners, after which runs are stopped: one stopped run per number."""

    def write_files(self, folder: Path) -> None:
        """Write the files that the recipe names; paths in the recipe are relative to `folder`."""

    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls, tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
        """Return the `TinyRuns` that all tests of a class share; each test has its own `output`."""
        runs = TinyRuns(tmp_path_factory.mktemp("runs"))
        cls().write_files(runs.folder)
        return runs

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, runs: TinyRuns) -> Path:
        """Return the run folder of an uninterrupted run."""
        return runs.run(cls.recipe, output="whole")

    def test_resume_after_a_stopped_step_gives_identical_results(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """A run that is stopped after any step and resumed must give bit-identical results.

        For this, checkpoints must restore components, optimiser, labels and random draws.
        """
        if runs.check(self.recipe)["train"]["max_steps"] == 0:
            pytest.skip("the recipe takes no training step")
        for steps in self.stops:
            output = f"stopped-{steps}"
            runs.run(self.recipe, output=output, stop_after=steps)
            resumed_results = results(runs.run(self.recipe, output=output))
            assert_same(resumed_results, results(whole), f"after a stop at step {steps}")
            runs.remove(output)

    def test_resume_after_each_stage_gives_identical_results(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """A run that is stopped after any stage and resumed must give bit-identical results."""
        for stage in ("zero-shot", "describe", "train", "judge", "report"):
            run = runs.run(self.recipe, output="stages", until=stage)
        assert_same(results(run), results(whole), "stage by stage")
        runs.remove("stages")

    def test_labels_of_test_images_do_not_change_training(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """Training and descriptions must not use labels of test images."""
        test = runs.folder / "test"
        swap(test / "red", test / "blue")
        try:
            swapped_results = results(runs.run(self.recipe, output="swapped"))
        finally:
            swap(test / "red", test / "blue")
        measured_names = {"models", "metrics.jsonl", "predictions.csv"}
        learned_results = {
            name: data for name, data in results(whole).items() if name not in measured_names
        }
        assert_same(
            {name: swapped_results[name] for name in learned_results},
            learned_results,
            "with other labels",
        )
        runs.remove("swapped")


def assert_same(results: dict[str, bytes], expected: dict[str, bytes], situation: str) -> None:
    """Raise an `AssertionError` that names the files whose content differs."""
    assert results.keys() == expected.keys(), f"{situation} there are other files"
    differing_names = [name for name in results if results[name] != expected[name]]
    assert not differing_names, f"{situation} these differ: {', '.join(differing_names)}"


def swap(folder: Path, other_folder: Path) -> None:
    """Swap the names of two folders."""
    aside_folder = folder.with_name("aside")
    folder.rename(aside_folder)
    other_folder.rename(folder)
    aside_folder.rename(other_folder)
