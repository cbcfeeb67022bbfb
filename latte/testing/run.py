"""Contract of complete runs: bit-identical resuming, and no effect of test labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from latte.testing.tiny_runs import TinyRuns, results


class RunContract:
    r"""Tests of complete runs; a subclass sets `recipe`.

    The tests find components that do not save and restore all of their state.

    Example:
        >>> from latte.testing import RunContract
        >>> class TestRunsOfMyLabeler(RunContract):
        ...     recipe = (
        ...         "labels: [{use: my-labeler}]\n"
        ...         "prototypes: {use: from-labeler}\n"
        ...         "loss: {use: contrastive}\n"
        ...         "train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2}\n"
        ...     )
    """

    recipe: ClassVar[str]
    """Recipe without `dataset` and `backbone`, which `latte.testing.tiny_runs.SQUARES` adds. Use
    batches of 4 of the 12 images, several epochs and `checkpoint_every: 2`."""
    stops: ClassVar[Sequence[int]] = (1, 4)
    """Numbers of training steps after which runs are stopped; each learner's steps count."""

    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls, tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
        """Return the runner that all tests of a class share; each test has its own `output`."""
        return TinyRuns(tmp_path_factory.mktemp("runs"))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, runs: TinyRuns) -> Path:
        """Return the run folder of an uninterrupted run."""
        return runs.run(cls.recipe, output="whole")

    def test_resume_after_a_stopped_step_gives_identical_results(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """Checkpoints restore the components' state, optimiser, labels and random draws."""
        for steps in self.stops:
            output = f"stopped-{steps}"
            runs.run(self.recipe, output=output, stop_after=steps)
            found = results(runs.run(self.recipe, output=output))
            assert_same(found, results(whole), f"after a stop at step {steps}")
            runs.remove(output)

    def test_resume_after_each_stage_gives_identical_results(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """A run that stops after any stage can be continued, as stages exchange files only."""
        for stage in ("zero-shot", "describe", "train", "report"):
            found = runs.run(self.recipe, output="stages", until=stage)
        assert_same(results(found), results(whole), "stage by stage")
        runs.remove("stages")

    def test_labels_of_test_images_do_not_change_training(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """Training and descriptions do not use labels of test images."""
        test = runs.folder / "test"
        swap(test / "red", test / "blue")
        try:
            found = results(runs.run(self.recipe, output="swapped"))
        finally:
            swap(test / "red", test / "blue")
        measured = {"evaluation.json", "metrics.jsonl", "predictions.csv"}
        learned = {name: data for name, data in results(whole).items() if name not in measured}
        assert_same({name: found[name] for name in learned}, learned, "with other labels")
        runs.remove("swapped")


def assert_same(found: dict[str, bytes], expected: dict[str, bytes], when: str) -> None:
    """Raise an `AssertionError` that names the files whose content differs."""
    assert found.keys() == expected.keys(), f"{when} there are other files"
    different = [name for name in found if found[name] != expected[name]]
    assert not different, f"{when} these differ: {', '.join(different)}"


def swap(one: Path, other: Path) -> None:
    """Exchange the names of two folders."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
