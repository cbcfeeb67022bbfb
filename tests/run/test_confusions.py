"""Counts in the results of a run agree with its accuracies and pseudo-labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from latte.interfaces import RunResults
from tests.helpers.records import accuracies
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough


def finished(recipe: Path, *overrides: str) -> RunResults:
    _, results, _ = run(recipe, *overrides)
    assert results is not None
    return results


def confusions_are_the_accuracies_in_detail(results: RunResults) -> None:
    assert set(results.confusions) == {"zero-shot", "adapted"}
    for title, evaluation in accuracies(results).items():
        rows = results.confusions[title]
        correct = {cell.true: cell.images for cell in rows if cell.true == cell.predicted}
        totals: Counter[int] = Counter()
        for cell in rows:
            totals[cell.true] += cell.images
        assert [correct.get(label, 0) for label in range(3)] == [
            c.correct for c in evaluation.classes
        ]
        assert [totals[label] for label in range(3)] == [c.images for c in evaluation.classes]
        assert [cell.images for cell in rows] == sorted((c.images for c in rows), reverse=True)


def flows_are_the_counts_of_pseudo_labels_in_detail(results: RunResults) -> None:
    for side, name in enumerate(("frozen", "adapted")):
        counts: Counter[int] = Counter()
        for flow in results.label_flows:
            counts[getattr(flow, name)] += flow.images
        assert [counts[label] for label in range(3)] == [
            pair[side] for pair in results.pseudo_label_counts
        ]
    assert sum(flow.images for flow in results.label_flows) == results.record.data.training_images


def prototypes_are_there_before_and_after(results: RunResults) -> None:
    (learner,) = results.prototypes
    assert learner.learner == "main"
    assert learner.before.weights.shape == learner.after.weights.shape == (3, 16)
    assert not torch.equal(learner.before.weights, learner.after.weights)
    assert torch.allclose(learner.before.weights.norm(dim=1), torch.ones(3), atol=1e-5)


def test_without_labels_there_are_flows_and_no_confusions(recipe: Path) -> None:
    results = finished(recipe, "dataset.evaluation=null")
    assert results.confusions == {}
    assert results.mistakes == ()
    assert sum(flow.images for flow in results.label_flows) == results.record.data.training_images


def memory_is_known_by_stage_where_the_system_tells(results: RunResults) -> None:
    assert set(results.record.peak_memory_mb) in (set(), set(results.record.seconds))
    assert all(value > 0 for value in results.record.peak_memory_mb.values())


def mistakes_are_the_wrong_rows_of_predictions(results: RunResults) -> None:
    with (results.folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["true_class"] for row in rows] == [row["image"].split("/")[-2] for row in rows]
    wrong = {row["image"]: row for row in rows if row["class_1"] != row["true_class"]}
    assert wrong, "the random CLIP makes mistakes"
    assert {mistake.image.id for mistake in results.mistakes} == set(wrong)
    names = results.record.data.class_names
    for mistake in results.mistakes:
        row = wrong[mistake.image.id]
        assert [names[label] for label in mistake.labels] == [row["class_1"], row["class_2"]]
        assert [str(share) for share in mistake.confidences] == [row["score_1"], row["score_2"]]
        assert mistake.true_label is not None
        assert names[mistake.true_label] == row["true_class"]
    confidences = [mistake.confidences[0] for mistake in results.mistakes]
    assert confidences == sorted(confidences, reverse=True)
    zero_shot = accuracies(results)["zero-shot"]
    right = sum(mistake.zero_shot_label == mistake.true_label for mistake in results.mistakes)
    gained = len(wrong) - (zero_shot.images - sum(c.correct for c in zero_shot.classes))
    assert gained <= right <= len(wrong)


def uncertain_images_have_the_lowest_confidence(results: RunResults) -> None:
    with (results.folder / "pseudo_labels.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert len(results.uncertain) == len(rows)
    names = results.record.data.class_names
    for uncertain_image in results.uncertain:
        row = rows[uncertain_image.image.id]
        assert names[uncertain_image.labels[0]] == row["adapted"]
        assert names[uncertain_image.zero_shot_label] == row["zero_shot"]
        assert str(uncertain_image.confidences[0]) == row["confidence"]
        assert uncertain_image.labels[1] != uncertain_image.labels[0]
        assert uncertain_image.confidences[1] <= uncertain_image.confidences[0]
    confidences = [uncertain_image.confidences[0] for uncertain_image in results.uncertain]
    assert confidences == sorted(confidences)


def examples_are_the_most_and_least_confident_of_each_class(results: RunResults) -> None:
    with (results.folder / "pseudo_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for label, name in enumerate(results.record.data.class_names):
        confidences = sorted(
            (float(row["confidence"]) for row in rows if row["adapted"] == name), reverse=True
        )
        expected = confidences[:8] + confidences[8:][-4:]
        shown = [
            example.confidences[0] for example in results.examples if example.labels == (label,)
        ]
        assert shown == expected
    labels = [example.labels[0] for example in results.examples]
    assert labels == sorted(labels)
    zero_shot = {row["image"]: row["zero_shot"] for row in rows}
    for example in results.examples:
        assert (
            results.record.data.class_names[example.zero_shot_label] == zero_shot[example.image.id]
        )


def test_a_class_with_many_images_has_twelve_examples(
    recipe: Path, colour_images: Callable[..., Path]
) -> None:
    colour_images(per_class=15)
    results = finished(recipe, "dataset.evaluation=null")
    examples_are_the_most_and_least_confident_of_each_class(results)
    assert max(adapted for _, adapted in results.pseudo_label_counts) > 12
    assert 12 in Counter(example.labels for example in results.examples).values()


def test_confusions_and_flows_agree_with_accuracies_and_pseudo_labels(recipe: Path) -> None:
    results = finished(recipe)
    confusions_are_the_accuracies_in_detail(results)
    flows_are_the_counts_of_pseudo_labels_in_detail(results)
    mistakes_are_the_wrong_rows_of_predictions(results)
    uncertain_images_have_the_lowest_confidence(results)
    examples_are_the_most_and_least_confident_of_each_class(results)
    prototypes_are_there_before_and_after(results)
    memory_is_known_by_stage_where_the_system_tells(results)
