"""Several runs reviewed together: one set of answers measures each run and their differences."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import mean, stdev

import pytest

from latte.interfaces import LatteError
from latte.registry.registry import load_registry
from latte.report.progress import make_progress
from latte.results.answers import Answer, Kind, read_answers, teaching_labels
from latte.results.finished import open_run
from latte.review.estimate import Estimate, estimate
from latte.review.importing import import_answers
from latte.review.learning import learn
from latte.review.population import difference, joint, population, teaches
from latte.review.session import Review
from tests.helpers.reviews import answer_all, made_up_review

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def pair(tmp_path: Path) -> Review:
    """Two runs whose models differ from zero-shot on every fourth and on every sixth image."""
    return together(tmp_path, every=6)


def together(folder: Path, every: int) -> Review:
    first = made_up_review(folder / "first", NAMES)
    return Review(first.run, made_up_review(folder / "second", NAMES, every=every).run)


def answer_truth(review: Review, count: int) -> None:
    """Answer `count` questions; the label by zero-shot CLIP is the truth."""
    answer_all(review, "zero_shot", count)


def test_questions_are_about_images_on_which_any_two_models_differ(pair: Review) -> None:
    differ = {f"key {number}" for number in range(200) if number % 4 == 0 or number % 6 == 0}
    assert {one.key for one in pair.population.disagreements} == differ
    question = pair.next("evidence")
    assert question is not None
    assert question.options == tuple(dict.fromkeys(question.options))
    assert {*question.options} == {*question.images[0].labels}
    assert [*pair.queues] == ["evidence"]


def test_every_run_has_the_answers_and_the_same_estimate_alone(pair: Review) -> None:
    answer_truth(pair, 30)
    gains = [one.estimate for one in pair.evidence()[:2]]
    assert min(one.answered for one in gains) > 5
    assert [Review(run).evidence()[0].estimate for run in pair.runs] == gains
    assert {one.run for one in pair.answers().values()} == {"first + second"}


def test_the_difference_has_the_sign_and_the_size_of_the_truth(pair: Review) -> None:
    for label, name in enumerate(NAMES):
        shown = [one.key for one in pair.population.images if one.zero_shot == label]
        pair.answer(shown, "class", name, "evidence")
    first, second, between = pair.evidence()
    assert (between.baseline, between.compared) == ("first", "second")
    exact = second.estimate.gain.value - first.estimate.gain.value
    assert between.estimate.gain.value == pytest.approx(exact)
    assert between.estimate.gain.low == pytest.approx(exact)
    assert "second changes accuracy against first by +8.0 points" in between.sentence
    assert between.lines == (between.sentence,)


def test_answers_of_one_run_count_for_all_and_are_not_asked_again(tmp_path: Path) -> None:
    pair = together(tmp_path, every=4)
    alone = Review(pair.runs[0])
    answer_truth(alone, 12)
    assert [one.estimate.answered for one in pair.evidence()] == [9, 9, 0]
    question, other = pair.next("evidence"), alone.next("evidence")
    assert question is not None
    assert other is not None
    assert question.images[0].key == other.images[0].key
    answer_truth(pair, 1)
    assert len(Review(pair.runs[1]).answers()) == 13


def test_undoing_removes_the_answer_from_every_run(pair: Review) -> None:
    answer_truth(pair, 3)
    (*_, last) = pair.answers()
    pair.answer([last], "undo", None, "evidence")
    assert [len(Review(run).answers()) for run in pair.runs] == [2, 2]


def test_a_run_that_has_learned_is_compared_on_evidence_images(tmp_path: Path) -> None:
    first = made_up_review(tmp_path / "first", NAMES)
    learned = made_up_review(
        tmp_path / "learned", NAMES, every=6, corrections="../first/review.jsonl"
    )
    review = Review(first.run, learned.run)
    assert len(review.files) == 1
    assert not any(teaches(one.key) for one in review.population.images)
    answer_truth(review, 20)
    sizes = [one.estimate.images for one in review.evidence()]
    assert sizes[0] == 200
    assert sizes[1] == sizes[2] == len(review.population.images) < 130


def test_other_images_other_classes_and_learning_are_refused(tmp_path: Path, pair: Review) -> None:
    fewer = made_up_review(tmp_path / "fewer", NAMES, images=100)
    renamed = made_up_review(tmp_path / "renamed", ("cat", "dog", "fish"))
    for other, why in ((fewer, "images"), (renamed, "classes")):
        with pytest.raises(LatteError, match=f"its {why} are not those of first"):
            Review(pair.run, other.run)
    with pytest.raises(LatteError, match="one run"):
        learn(pair, load_registry(), make_progress(True))


@pytest.mark.thorough
def test_gains_and_differences_are_unbiased_and_covered_at_every_stop() -> None:
    """Simulate reviewers of two runs; each draws the images in another order."""
    numbers = random.Random(0)
    images = 240
    truth = [numbers.randrange(3) for _ in range(images)]
    zero_shot = [label if numbers.random() < 0.5 else (label + 1) % 3 for label in truth]

    def adapted(right: float, changed: float) -> list[int]:
        return [
            before if numbers.random() > changed else true if numbers.random() < right else 2
            for before, true in zip(zero_shot, truth, strict=True)
        ]

    runs = [adapted(0.7, 0.4), adapted(0.6, 0.15)]
    share = [sum(map(int.__eq__, labels, truth)) / images for labels in (zero_shot, *runs)]
    exact = [share[1] - share[0], share[2] - share[0], share[2] - share[1]]
    stops, reviewers = (8, 40), 150
    covered = [0, 0, 0]
    found: list[list[float]] = [[], [], []]
    for _ in range(reviewers):
        keys = [f"{numbers.getrandbits(64):x}" for _ in range(images)]
        populations = [population(keys, zero_shot, labels, truth, learned=False) for labels in runs]
        order = joint(populations).disagreements
        asked = (*populations, difference(*populations))
        label = dict(zip(keys, truth, strict=True))
        answers = {one.key: answer(one.key, label[one.key]) for one in order[: stops[-1]]}
        for at, (images_of, true) in enumerate(zip(asked, exact, strict=True)):
            after = [estimate(images_of, dict([*answers.items()][:stop]), NAMES) for stop in stops]
            covered[at] += all(contains(one, true) for one in after)
            found[at].append(after[-1].gain.value)
    assert min(covered) >= 0.94 * reviewers
    for values, true in zip(found, exact, strict=True):
        assert abs(mean(values) - true) < 3.5 * stdev(values) / reviewers**0.5


def answer(key: str, label: int) -> Answer:
    return Answer(key, "class", NAMES[label], "evidence", "evidence", "both", "")


def contains(found: Estimate, true: float) -> bool:
    return found.gain.low - 1e-9 <= true <= found.gain.high + 1e-9


def alone_and_together(folder: Path) -> tuple[Review, Review, Review]:
    """Return the reviews of two runs, and their joint review."""
    pair = together(folder, every=4)
    return Review(pair.runs[0]), Review(pair.runs[1]), pair


def learnable(review: Review) -> str:
    """Return the content key of an image that may teach."""
    return next(one.key for one in review.population.images if teaches(one.key))


def imported(review: Review, path: Path, *rows: str) -> int:
    path.write_text("".join(f"{one}\n" for one in ("image,label,use", *rows)))
    return len(import_answers(review, path))


@pytest.mark.parametrize("use", ["evidence", "teaching", ""])
def test_import_checks_the_answers_of_each_file_before_writing(tmp_path: Path, use: str) -> None:
    first, second, pair = alone_and_together(tmp_path)
    key = learnable(first)
    first.answer([key], "class", "cat", "evidence")
    second.answer([key], "class", "cat", "uncertain")
    before = [file.read_bytes() for file in pair.files]
    with pytest.raises(LatteError) as caught:
        imported(pair, tmp_path / "given.csv", f"{key.removeprefix('key ')}.jpg,dog,{use}")
    assert caught.value.where == f"{tmp_path / 'given.csv'}:2"
    with pytest.raises(LatteError, match="never both"):
        pair.answer([key], "class", "dog", "evidence")
    assert [file.read_bytes() for file in pair.files] == before


@pytest.mark.parametrize("use", ["teaching", ""])
def test_import_into_several_runs_refuses_answers_that_would_teach(pair: Review, use: str) -> None:
    row = f"{learnable(pair).removeprefix('key ')}.jpg,cat"
    path = pair.file.parent / "given.csv"
    with pytest.raises(LatteError, match="only measured"):
        imported(pair, path, f"{row},{use}")
    assert not any(file.exists() for file in pair.files)
    assert imported(pair, path, f"{row},evidence") == 1


def test_labels_for_teaching_stay_in_the_file_of_their_run(tmp_path: Path) -> None:
    first, second, pair = alone_and_together(tmp_path)
    key = learnable(first)
    first.answer([key], "class", "cat", "uncertain")
    answer_truth(pair, 1)
    assert teaching_labels(pair.files[0]) == {key: "cat"}
    assert [one.use for one in second.answers().values()] == ["evidence"]


@pytest.mark.parametrize("kind", ["class", "none", "undo"])
def test_an_answer_that_reached_one_file_only_is_copied_with_the_next(
    tmp_path: Path, kind: Kind
) -> None:
    first, second, pair = alone_and_together(tmp_path)
    answer_truth(pair, 1)
    (key,) = pair.answers()
    first.answer([key], kind, "bird" if kind == "class" else None, "evidence")
    assert first.answers() != second.answers()
    assert pair.stored().contradictions == 1
    answer_truth(pair, 2)
    assert first.answers() == second.answers() == pair.answers()
    assert pair.stored().contradictions == 0
    if kind == "class":
        assert second.answers()[key].label == "bird"


def test_an_import_that_was_cut_short_is_completed_by_the_next(tmp_path: Path) -> None:
    first, second, pair = alone_and_together(tmp_path)
    row = f"{first.population.disagreements[0].row}.jpg,cat,evidence"
    assert imported(first, tmp_path / "given.csv", row) == 1
    assert imported(pair, tmp_path / "given.csv", row) == 0
    assert first.answers() == second.answers()


def test_each_file_is_read_once_for_an_answer(
    pair: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_truth(pair, 1)
    read: list[Path] = []

    def counted(path: Path) -> list[Answer]:
        read.append(path)
        return read_answers(path)

    monkeypatch.setattr("latte.review.session.read_answers", counted)
    key = pair.population.disagreements[-1].key
    pair.answer([key], "class", "cat", "evidence")
    assert read == [*pair.files]


def test_runs_with_equal_names_are_named_after_their_parents(tmp_path: Path) -> None:
    first = made_up_review(tmp_path / "one" / "animals", NAMES)
    second = made_up_review(tmp_path / "two" / "animals", NAMES, every=6)
    pair = Review(first.run, second.run)
    assert pair.name == "one/animals + two/animals"
    compared = [(one.baseline, one.compared) for one in pair.evidence()]
    assert compared[1:] == [("zero-shot CLIP", "two/animals"), ("one/animals", "two/animals")]


def test_a_run_that_occurs_twice_is_refused(tmp_path: Path, pair: Review) -> None:
    (tmp_path / "link").symlink_to(pair.run.folder.path)
    for again in (pair.run.folder.path, tmp_path / "link"):
        with pytest.raises(LatteError, match="occurs twice"):
            Review(*pair.runs, open_run(again))
