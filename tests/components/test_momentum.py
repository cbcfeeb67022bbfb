"""Momentum prototypes: targets, updates, margins and state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from latte.components.latteclip import MomentumOptions, MomentumPrototypes
from latte.interfaces import EpochInfo, LabelStream, Supervision
from tests.helpers.property_inputs import QUICKLY, drawn_labels
from tests.helpers.training_driver import CONTEXT, stream, training_start, unit_rows

CLASSES = 5
WIDTH = 8
START = unit_rows(CLASSES, WIDTH, seed=1)


def prototypes(**options: Any) -> MomentumPrototypes:
    aggregator = MomentumPrototypes(MomentumOptions(**options), CONTEXT)
    aggregator.start(training_start(START))
    return aggregator


def weights_of(aggregator: MomentumPrototypes) -> Tensor:
    return aggregator.classifier().weights


def teach(aggregator: MomentumPrototypes, given_stream: LabelStream, *texts: Tensor) -> Supervision:
    texts_by_description = {f"description {index}": text for index, text in enumerate(texts)}
    return aggregator.supervise(given_stream, texts_by_description, torch.empty(0))


def targets_of(supervision: Supervision) -> Tensor:
    assert supervision.targets is not None
    return supervision.targets


def test_prototypes_start_as_the_zero_shot_classifier() -> None:
    assert torch.equal(weights_of(prototypes()), START)
    assert prototypes().classifier().owners.tolist() == [0, 1, 2, 3, 4]


class TestTargets:
    def test_targets_are_prototypes_moved_towards_the_text(self) -> None:
        text = unit_rows(2, WIDTH, seed=2)

        supervision = teach(prototypes(momentum=0.9), stream([3, 0]), text)

        torch.testing.assert_close(targets_of(supervision), 0.9 * START[[3, 0]] + 0.1 * text)

    def test_gradient_goes_through_the_texts_alone(self) -> None:
        text = unit_rows(2, WIDTH, seed=2).requires_grad_()

        supervision = teach(prototypes(momentum=0.9), stream([3, 3]), text)
        torch.autograd.backward(targets_of(supervision).sum())

        assert text.grad is not None
        torch.testing.assert_close(text.grad, torch.full_like(text, 0.1))

    def test_without_texts_they_are_the_prototypes(self) -> None:
        aggregator = prototypes()

        supervision = teach(aggregator, stream([2, 2, 0]))
        aggregator.update([supervision])

        assert torch.equal(targets_of(supervision), START[[2, 2, 0]])
        torch.testing.assert_close(weights_of(aggregator), START)

    def test_a_clear_text_outweighs_an_undecided_one(self) -> None:
        clear = START[:1]
        undecided = normalize(START[:1] + START[1:2], dim=1)

        dynamic = targets_of(teach(prototypes(momentum=0.0), stream([0]), clear, undecided))
        mean = targets_of(
            teach(prototypes(momentum=0.0, mixer="mean"), stream([0]), clear, undecided)
        )

        torch.testing.assert_close(mean, (clear + undecided) / 2)
        assert (dynamic - clear).norm() < 0.01 * (mean - clear).norm()

    def test_half_precision_texts_are_mixed_in_the_prototypes_precision(self) -> None:
        text = unit_rows(2, WIDTH, seed=2).bfloat16()

        target = targets_of(teach(prototypes(), stream([0, 1]), text))

        assert target.dtype == START.dtype
        torch.testing.assert_close(target, 0.99 * START[:2] + 0.01 * text.to(START.dtype))

    def test_the_classifier_has_the_prototypes(self) -> None:
        supervision = teach(prototypes(), stream([0]))

        assert supervision.classifier is not None
        assert torch.equal(supervision.classifier.weights, START)
        assert supervision.classifier.owners.tolist() == [0, 1, 2, 3, 4]


class TestUpdate:
    def test_samples_on_which_streams_agree_count_twice(self) -> None:
        aggregator = prototypes(momentum=0.0)
        first_row, second_row = START[1:2], START[2:3]
        text = torch.cat([first_row, second_row])

        agreeing = teach(aggregator, stream([0, 0]), text)
        differing = teach(aggregator, stream([0, 4]), text)
        aggregator.update([agreeing, differing])

        expected = normalize(2 * first_row + second_row, dim=1)
        torch.testing.assert_close(weights_of(aggregator)[0:1], expected)
        torch.testing.assert_close(weights_of(aggregator)[4:5], second_row)

    def test_prototypes_of_absent_classes_stay_equal_to_the_bit(self) -> None:
        aggregator = prototypes(momentum=0.5)

        aggregator.update([teach(aggregator, stream([1, 3]), unit_rows(2, WIDTH, seed=2))])

        changed = (weights_of(aggregator) != START).any(dim=1)
        assert changed.tolist() == [False, True, False, True, False]

    def test_without_any_stream_nothing_moves(self) -> None:
        aggregator = prototypes()

        aggregator.update([])

        assert torch.equal(weights_of(aggregator), START)

    def test_targets_that_cancel_out_leave_the_prototype(self) -> None:
        aggregator = prototypes(momentum=0.0)
        text = unit_rows(1, WIDTH, seed=2)

        aggregator.update([teach(aggregator, stream([0, 0]), torch.cat([text, -text]))])

        assert torch.equal(weights_of(aggregator), START)

    @QUICKLY
    @given(seed=st.integers(0, 10_000), rows=st.integers(1, 12))
    def test_momentum_one_does_not_move_prototypes(self, seed: int, rows: int) -> None:
        aggregator = prototypes(momentum=1.0)
        labels = drawn_labels(rows, CLASSES, seed).tolist()

        for step in range(3):
            text = unit_rows(rows, WIDTH, seed + step)
            aggregator.update([teach(aggregator, stream(labels), text)])

        torch.testing.assert_close(weights_of(aggregator), START, atol=1e-14, rtol=0)

    @QUICKLY
    @given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), data=st.data())
    def test_momentum_zero_makes_them_weighted_class_means_of_the_mixes(
        self, seed: int, rows: int, data: st.DataObject
    ) -> None:
        aggregator = prototypes(momentum=0.0, mixer="mean")
        texts = [unit_rows(rows, WIDTH, seed), unit_rows(rows, WIDTH, seed + 1)]
        labels = drawn_labels(rows, CLASSES, seed).tolist()
        shares = st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=rows, max_size=rows)
        weights = data.draw(shares)

        aggregator.update([teach(aggregator, stream(labels, weights), *texts)])

        for index in range(CLASSES):
            total = torch.zeros(WIDTH, dtype=START.dtype)
            for row in range(rows):
                if labels[row] == index:
                    total += weights[row] * (texts[0][row] + texts[1][row]) / 2
            expected = total / total.norm() if total.norm() > 0 else START[index]
            torch.testing.assert_close(weights_of(aggregator)[index], expected)

    @QUICKLY
    @given(seed=st.integers(0, 10_000), rows=st.integers(1, 12))
    def test_neither_the_order_of_samples_nor_of_streams_matters(
        self, seed: int, rows: int
    ) -> None:
        text = unit_rows(rows, WIDTH, seed)
        labels = [drawn_labels(rows, CLASSES, seed + index) for index in range(2)]
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
        straight, shuffled = prototypes(momentum=0.7), prototypes(momentum=0.7)

        straight.update([teach(straight, stream(each.tolist()), text) for each in labels])
        shuffled.update(
            [
                teach(shuffled, stream(each[order].tolist()), text[order])
                for each in reversed(labels)
            ]
        )

        torch.testing.assert_close(weights_of(straight), weights_of(shuffled), atol=1e-13, rtol=0)

    @QUICKLY
    @given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), momentum=st.floats(0.0, 1.0))
    def test_prototypes_always_have_length_one(self, seed: int, rows: int, momentum: float) -> None:
        aggregator = prototypes(momentum=momentum)

        for step in range(4):
            labels = drawn_labels(rows, CLASSES, seed + step).tolist()
            text = unit_rows(rows, WIDTH, seed + step)
            aggregator.update([teach(aggregator, stream(labels), text)])

        torch.testing.assert_close(
            weights_of(aggregator).norm(dim=1), torch.ones(CLASSES, dtype=START.dtype)
        )


class TestMargins:
    texts = (unit_rows(3, WIDTH, seed=3), unit_rows(3, WIDTH, seed=4))

    def moved(self, **options: Any) -> MomentumPrototypes:
        """Return prototypes after a step that moved all of them far."""
        aggregator = prototypes(momentum=0.0, **options)
        far = unit_rows(CLASSES, WIDTH, seed=5)
        aggregator.update([teach(aggregator, stream(range(CLASSES)), far)])
        return aggregator

    def mix(self, aggregator: MomentumPrototypes) -> Tensor:
        return targets_of(teach(aggregator, stream([0, 1, 2]), *self.texts))

    def test_current_margins_follow_every_step(self) -> None:
        assert not torch.allclose(self.mix(self.moved()), self.mix(prototypes(momentum=0.0)))

    def test_epoch_start_margins_stay_within_an_epoch(self) -> None:
        fresh = prototypes(momentum=0.0, margins="epoch_start")
        moved = self.moved(margins="epoch_start")

        assert torch.equal(self.mix(moved), self.mix(fresh))

    def test_epoch_start_margins_change_at_the_next_epoch(self) -> None:
        moved = self.moved(margins="epoch_start")

        moved.on_epoch_start(EpochInfo(), "main")

        assert torch.equal(self.mix(moved), self.mix(self.moved(margins="current")))

    def test_on_epoch_start_before_the_first_step_changes_nothing(self) -> None:
        fresh = prototypes(momentum=0.0, margins="epoch_start")
        expected = self.mix(fresh)

        fresh.on_epoch_start(EpochInfo(), "main")

        assert torch.equal(self.mix(fresh), expected)
        assert torch.equal(weights_of(fresh), START)

    @pytest.mark.parametrize("margins", ["current", "epoch_start"])
    def test_two_learners_states_fit_into_one_file_before_the_first_step(
        self, margins: str, tmp_path: Path
    ) -> None:
        """No two tensors share memory, which safetensors refuses."""
        learners = {name: prototypes(margins=margins) for name in ("left", "right")}
        states = {
            f"{name}.{key}": tensor
            for name, aggregator in learners.items()
            for key, tensor in aggregator.state().items()
        }

        save_file(states, tmp_path / "state.safetensors")

        saved = load_file(tmp_path / "state.safetensors")
        assert all(torch.equal(tensor, START) for tensor in saved.values())


@pytest.mark.parametrize("mixer", ["dynamic", "mean"])
def test_a_description_that_weighs_almost_all_is_almost_alone(mixer: str) -> None:
    start = replace(training_start(START), description_weights={"description 1": 1e9})
    aggregator = MomentumPrototypes(MomentumOptions(mixer=mixer), CONTEXT)
    aggregator.start(start)
    light_texts, heavy_texts = unit_rows(2, WIDTH, seed=2), unit_rows(2, WIDTH, seed=3)
    targets_of_both = targets_of(teach(aggregator, stream([3, 0]), light_texts, heavy_texts))
    alone = targets_of(teach(prototypes(mixer=mixer), stream([3, 0]), heavy_texts))
    torch.testing.assert_close(targets_of_both, alone)
    assert not torch.allclose(
        targets_of_both, targets_of(teach(prototypes(), stream([3, 0]), light_texts, heavy_texts))
    )
