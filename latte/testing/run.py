"""What whole runs promise, whichever components their recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from latte.testing.tiny_runs import TinyRuns, results


class RunContract:
    """Base of tests of whole runs; set `recipe`.

    Components that keep something from step to step show here whether they save and restore it.
    """

    recipe: ClassVar[str]
    """Without `dataset` and `backbone`, which are `latte.testing.tiny_runs.SQUARES`. Batches of 4
    of the 12 images, some epochs and `checkpoint_every: 2` make it telling."""
    stops: ClassVar[Sequence[int]] = (1, 4)
    """After how many training steps it is stopped; of several learners each one's step counts."""

    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls, tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
        """Shared by the tests of a class; each writes below an `output` of its own."""
        return TinyRuns(tmp_path_factory.mktemp("runs"))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, runs: TinyRuns) -> Path:
        """The run folder of a run that nothing happened to."""
        return runs.run(cls.recipe, output="whole")

    def test_stopped_in_training_it_goes_on_to_the_same_bits(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """State, optimiser, labels and draws are restored from checkpoints."""
        for steps in self.stops:
            output = f"stopped-{steps}"
            runs.run(self.recipe, output=output, stop_after=steps)
            found = results(runs.run(self.recipe, output=output))
            assert_same(found, results(whole), f"after a stop at step {steps}")
            runs.remove(output)

    def test_stopped_after_each_stage_it_goes_on_to_the_same_bits(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """What a stage hands over is in its files, and in nothing else."""
        for stage in ("zero-shot", "describe", "train", "report"):
            found = runs.run(self.recipe, output="stages", until=stage)
        assert_same(results(found), results(whole), "stage by stage")
        runs.remove("stages")

    def test_labels_of_test_images_change_nothing_that_is_learned(
        self, runs: TinyRuns, whole: Path
    ) -> None:
        """Training, and what is said about images, never sees them."""
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
    """Raise `AssertionError` that names the files which differ."""
    assert found.keys() == expected.keys(), f"{when} there are other files"
    different = [name for name in found if found[name] != expected[name]]
    assert not different, f"{when} these differ: {', '.join(different)}"


def swap(one: Path, other: Path) -> None:
    """Exchange the names of two folders."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
