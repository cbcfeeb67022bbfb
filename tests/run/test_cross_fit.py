"""Answers that teach a run also measure it: each is left out once, and none measures its lesson."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.evaluate.answered_gain import AnsweredImages, UnansweredImages, answered_gain
from latte.interfaces import Interval, Posterior
from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers
from latte.models.zero_shot import ZeroShot
from latte.report.taught import taught_sentence, taught_tone
from latte.run.cross_fit import FOLDS, folds, verdict_of
from latte.run.fitting import fit_again
from latte.run.images import Images
from latte.run.workspace import Workspace
from tests.helpers.records import recorded
from tests.helpers.whole_runs import run

SETTINGS = (
    *("describer=null", "descriptions=[]", "loss=null", "labels=[self-taught]"),
    *("prototypes=from-labeler", "train.max_steps=0", "guard=evidence"),
)
Sample = tuple[AnsweredImages, UnansweredImages]
PARTS = {"part-0": "red", "part-1": "green", "part-2": "blue"}


def facts(low: float, value: float, high: float) -> AnswerFacts:
    gain = Interval(value, low, high)
    measured = LeftOutAnswers(answers=40, folds=5, zero_shot=0.5, adapted=0.5 + value, gain=gain)
    return AnswerFacts(answers=50, classes=9, measured=measured)


def test_folds_spread_the_answers_of_a_class() -> None:
    labels = {f"key {number}": number % 3 for number in range(30)}
    series = {key: number for number, key in enumerate(labels)}
    fold_of = folds(labels, series)
    per_class = Counter((fold, labels[key]) for key, fold in fold_of.items())
    assert per_class == {(fold, label): 2 for fold in range(FOLDS) for label in range(3)}
    assert folds(dict(reversed(labels.items())), series) == fold_of


def test_folds_do_not_change_if_no_image_has_a_series() -> None:
    labels = {f"key {number}": number % 4 for number in range(23)}
    ranked = sorted(labels, key=lambda key: (labels[key], blake2b(key.encode()).digest()))
    alone = {key: 7 * number for number, key in enumerate(labels)}
    assert folds(labels, alone) == {key: place % FOLDS for place, key in enumerate(ranked)}


def test_answers_about_a_series_are_in_one_fold_and_series_spread_over_all_folds() -> None:
    labels = {f"key {number}": number // 3 % 2 for number in range(90)}
    series = {key: number // 3 for number, key in enumerate(labels)}
    fold_of = folds(labels, series)
    fold_of_series = {(series[key], fold) for key, fold in fold_of.items()}
    assert len(fold_of_series) == 30
    assert Counter(fold for _, fold in fold_of_series) == dict.fromkeys(range(FOLDS), 6)


def test_one_series_of_100_000_answers_is_in_one_fold_and_counts_as_one() -> None:
    labels = {f"key {number}": number % 2 for number in range(100_000)}
    assert len({*folds(labels, dict.fromkeys(labels, 7)).values()}) == 1
    one_series = AnswerFacts(answers=100_000, series=1, classes=2)
    expected = "100,000 answers about 1 series taught the model; its gain is not measured."
    assert taught_sentence(one_series) == expected


def test_the_taught_model_is_used_unless_its_interval_is_below_zero() -> None:
    for bounds, strength, outcome, tone in (
        ((0.1, 0.2, 0.3), 1.0, "better", "better"),
        ((-0.1, 0.0, 0.1), 1.0, "cannot tell", "unknown"),
        ((-0.3, -0.2, -0.1), 0.0, "kept zero-shot", "worse"),
    ):
        verdict = verdict_of(facts(*bounds))
        assert verdict is not None
        assert (verdict.strength, verdict.outcome) == (strength, outcome)
        assert taught_tone(facts(*bounds)) == tone
    assert verdict_of(None) is None
    assert verdict_of(AnswerFacts(answers=3, classes=3)) is None


def test_the_sentence_says_how_the_gain_was_estimated() -> None:
    sentence = " ".join(taught_sentence(facts(0.1, 0.2, 0.3)).split())
    assert sentence == (
        "50 answers taught the model: it is better than zero-shot CLIP by +20 points (95 %: +10 to "
        "+30; accuracy 50 % before, 70 % after), estimated by leaving 40 answers out in turn (5 "
        "folds). The estimate is about images without an answer."
    )
    estimate = facts(0.1, 0.2, 0.3).measured
    assert estimate is not None
    doubted = AnswerFacts(
        answers=50, classes=9, measured=estimate.model_copy(update={"doubtful": ("a.jpg",)})
    )
    assert taught_sentence(doubted).endswith(
        " 1 answer contradicts all others; `latte review` shows such images again."
    )
    bursts = AnswerFacts(
        answers=50, series=36, classes=9, measured=estimate.model_copy(update={"series": 31})
    )
    sentence = " ".join(taught_sentence(bursts).split())
    assert sentence.startswith("50 answers about 36 series taught the model: ")
    assert "by leaving 40 answers about 31 series out in turn (5 folds)" in sentence
    few = taught_sentence(AnswerFacts(answers=1, series=1, classes=1))
    assert few == "1 answer taught the model; its gain is not measured."


def labels_file(recipe: Path, per_class: int) -> Path:
    """Write the true classes of some training images."""
    path = recipe.parent / "labels.csv"
    rows = [
        f"{part}/{number:03}.jpg,{name}\n"
        for part, name in PARTS.items()
        for number in range(per_class)
    ]
    path.write_text("".join(["path,class\n", *rows]))
    return path


@pytest.mark.parametrize(("per_class", "measured"), [(1, 0), (2, 6)])
def test_answers_of_classes_with_two_answers_are_left_out_in_turn(
    recipe: Path, per_class: int, measured: int
) -> None:
    file = labels_file(recipe, per_class)
    folder, _, progress = run(recipe, *SETTINGS, f"corrections={file}")
    found = recorded(folder, "train", "answers")
    assert (found["answers"], found["classes"]) == (3 * per_class, 3)
    said = [line for line in progress.lines if "answers: " in line or "guard" in line]
    verdict = recorded(folder, "judge", "verdict")
    if not measured:
        assert found["measured"] is None
        assert [line.partition(":")[0] for line in said] == ["guard evidence"]
        return
    assert (found["measured"]["answers"], found["measured"]["folds"]) == (measured, FOLDS)
    assert [line.partition(":")[0] for line in said] == ["answers"]
    assert verdict["signals"] == {"gain": found["measured"]["gain"]["value"]}


def test_an_answer_that_is_its_class_only_one_is_left_out_too(recipe: Path) -> None:
    file = labels_file(recipe, 3)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(
        "".join([line for line in lines if "part-2/001" not in line and "part-2/002" not in line])
    )
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={file}")
    found = recorded(folder, "train", "answers")
    assert (found["answers"], found["measured"]["answers"], found["left_out"]) == (7, 7, 7)


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """Return a list that gets the images from which each gain is estimated."""
    estimated_from: list[Sample] = []

    def gain_of(answered: AnsweredImages, others: UnansweredImages) -> Interval:
        estimated_from.append((answered, others))
        return answered_gain(answered, others)

    monkeypatch.setattr("latte.run.cross_fit.answered_gain", gain_of)
    return estimated_from


def test_gain_is_within_the_share_of_labels_that_change(
    recipe: Path, samples: list[Sample]
) -> None:
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={labels_file(recipe, 3)}")
    [(answered, others)] = samples
    assert 0 < others.series <= 12 - len(answered.answers)
    expected_of_changed = answered.expected[answered.is_changed]
    assert bool((expected_of_changed > 0).all())
    assert bool((expected_of_changed < 1).any())  # the labeler's probabilities
    assert bool((answered.expected[~answered.is_changed] == 0).all())
    assert (0 < others.expected < 1) == (others.changed > 0)
    measured = recorded(folder, "train", "answers")["measured"]
    low, high = measured["gain"]["low"], measured["gain"]["high"]
    assert -others.changed <= low <= high <= others.changed
    change = measured["adapted"] - measured["zero_shot"]
    assert change == pytest.approx(measured["gain"]["value"])


def test_photos_of_a_series_with_an_answer_are_not_among_the_other_images(
    recipe: Path, samples: list[Sample]
) -> None:
    file = recipe.parent / "labels.csv"
    answers = [
        f"{part}/00{number}.jpg,{name},{part}-{number}"
        for part, name in PARTS.items()
        for number in range(1, 4)
    ]
    unsure = "part-0/000.jpg,cannot tell,part-0-1"
    file.write_text("\n".join(["path,class,series", *answers, unsure, ""]))
    run(recipe, *SETTINGS, f"corrections={file}")
    [(answered, others)] = samples
    assert (len(answered.answers), len({*answered.series.tolist()}), others.series) == (9, 9, 2)


def with_class_0_first(posterior: Posterior | None) -> Posterior:
    """Return the labels that zero-shot CLIP gives: it takes all squares for the first class."""
    assert posterior is not None
    return replace(posterior, labels=posterior.labels.sort(dim=1).values)


def test_all_fits_say_how_many_labels_of_the_other_images_change(
    recipe: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[Tensor] = []

    def differing_fit(workspace: Workspace, images: Images, zero_shot: ZeroShot, *rest: Any) -> Any:
        fitted = fit_again(workspace, images, zero_shot, *rest)
        if len(changes) == 1:
            fitted = replace(fitted, posterior=with_class_0_first(fitted.posterior))
        changes.append(fitted.labels != zero_shot.zero_shot_labels)
        return fitted

    monkeypatch.setattr("latte.run.cross_fit.fit_again", differing_fit)
    run(recipe, *SETTINGS, f"corrections={labels_file(recipe, 2)}")
    [(_, others)] = samples
    changed = torch.stack(changes)[:, [2, 3, 6, 7, 10, 11]].double()
    assert changed[1].sum() == 0 < changed.sum()
    assert others.changed == pytest.approx(float(changed.mean()))


def test_left_out_answers_stand_for_others_if_all_series_have_an_answer(
    recipe: Path, samples: list[Sample]
) -> None:
    file = series_file(recipe, 2)
    file.write_text(file.read_text() + "part-2/003.jpg,cannot tell,5\n")
    run(recipe, *SETTINGS, f"corrections={file}")
    [(answered, others)] = samples
    gains = answered.expected[answered.taught != answered.zero_shot].tolist()
    assert 0 < len(gains) < len(answered.answers) == 11
    assert others.changed == pytest.approx(len(gains) / 11)
    assert others.expected == pytest.approx(sum(gains) / len(gains))
    assert others.series == 6


def test_copies_of_an_image_lose_its_answer_in_the_fit_that_leaves_it_out(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = {"part-0/000.jpg": "part-0/copy.jpg", "part-1/001.jpg": "part-2/000 copy.jpg"}
    for image, copy in copies.items():
        shutil.copy(f"images/{image}", f"images/{copy}")
    fits: list[dict[str, int]] = []

    def recording_fit(workspace: Workspace, images: Images, *rest: Any) -> Any:
        assert images.corrections is not None
        ids = [image.id for image in images.training.images]
        fits.append(dict(zip(ids, images.corrections.labels, strict=True)))
        return fit_again(workspace, images, *rest)

    monkeypatch.setattr("latte.run.cross_fit.fit_again", recording_fit)
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={labels_file(recipe, 2)}")
    assert recorded(folder, "train", "answers")["series"] == 6
    for image, copy in copies.items():
        answers = [(labels[image], labels[copy]) for labels in fits]
        assert [own == copied for own, copied in answers] == [True] * FOLDS
        assert answers.count((-1, -1)) == 1
    assert recorded(folder, "train", "answers")["measured"]["answers"] == 6


def test_a_changed_guard_does_not_leave_answers_out_again(recipe: Path) -> None:
    settings = (*SETTINGS, f"corrections={labels_file(recipe, 2)}")
    folder, _, first = run(recipe, *settings)
    answers = recorded(folder, "train", "answers")
    again, results, second = run(recipe, *settings, "guard=null")
    assert again == folder and results is not None and results.record.judge.verdict is None
    assert recorded(folder, "train", "answers") == answers
    name = "leave answers out"
    tasks = [[task.name for task in progress.tasks] for progress in (first, second)]
    assert [names.count(name) for names in tasks] == [1, 0]


def series_file(recipe: Path, per_series: int) -> Path:
    """Write the true classes of all training images, in series of `per_series` images."""
    path = labels_file(recipe, 4)
    head, *rows = path.read_text().splitlines()
    series = [f"{row},{number // per_series}" for number, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},series", *series[:11], ""]))
    return path


def test_no_series_has_answers_on_both_sides_of_a_fold(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[tuple[int, ...]] = []

    def recording_fit(workspace: Workspace, images: Images, *rest: Any) -> Any:
        assert images.corrections is not None
        fits.append(images.corrections.labels)
        return fit_again(workspace, images, *rest)

    monkeypatch.setattr("latte.run.cross_fit.fit_again", recording_fit)
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={series_file(recipe, 2)}")
    for first in range(0, 10, 2):
        assert all((labels[first] < 0) == (labels[first + 1] < 0) for labels in fits)
    assert [sum(labels[row] < 0 for labels in fits) for row in range(11)] == [1] * 11
    answers = recorded(folder, "train", "answers")
    assert (answers["answers"], answers["series"]) == (11, 6)
    assert (answers["measured"]["answers"], answers["measured"]["series"]) == (11, 6)


def test_answers_about_few_series_are_not_left_out(recipe: Path) -> None:
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={series_file(recipe, 3)}")
    answers = recorded(folder, "train", "answers")
    assert (answers["answers"], answers["series"], answers["left_out"]) == (11, 4, 0)
    assert answers["measured"] is None


def test_an_answer_that_contradicts_all_others_is_doubtful(recipe: Path) -> None:
    file = labels_file(recipe, 3)
    file.write_text(file.read_text().replace("part-0/002.jpg,red", "part-0/002.jpg,blue"))
    folder, _, _ = run(recipe, *SETTINGS, f"corrections={file}")
    doubtful = recorded(folder, "train", "answers")["measured"]["doubtful"]
    assert doubtful[0] == "part-0/002.jpg"
    assert len(doubtful) <= 2


def test_a_recipe_with_steps_does_not_train_again(recipe: Path) -> None:
    folder, _, _ = run(recipe, "train.max_steps=1", f"corrections={labels_file(recipe, 3)}")
    answers = recorded(folder, "train", "answers")
    assert answers == {**{"answers": 9, "series": 9, "classes": 3, "measured": None, "left_out": 0}}
