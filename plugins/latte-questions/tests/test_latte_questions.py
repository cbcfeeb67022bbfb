"""The labeler `choices`: what it asks, and what answers of good and useless describers change."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing import PseudoLabelerContract
from latte_questions.belief import PairedAnswer, Record, evidence
from latte_questions.interview import MIXED
from latte_questions.order import choose_images
from questions_double import (
    CLASSES,
    CONTEXT,
    EACH,
    NAMES,
    TRUTH,
    Answering,
    Asked,
    choices,
    contradictory_about_one_class,
    first,
    labels,
    lowest,
    misnamed,
    none,
    refusal,
    right,
    right_but_for_one_cluster,
    without_questions,
)
from torch import Tensor

from latte.api import (
    Batch,
    ExpectedGain,
    FeatureBank,
    LabelerPrototypes,
    LatteError,
    NoOptions,
    TrainingStart,
)


class TestChoices(PseudoLabelerContract):
    component = "choices"


def test_right_answers_give_clusters_their_names() -> None:
    questions = Asked(60, right)
    assert float((without_questions() == TRUTH).double().mean()) < 0.7
    assert float((labels(choices(), misnamed(), questions) == TRUTH).double().mean()) > 0.95
    assert questions.closed


def test_enough_answers_about_a_class_change_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    def evidence() -> Tensor:
        labeler = choices()
        labels(labeler, misnamed(), Asked(1000, contradictory_about_one_class))
        return labeler.state()["evidence"][:, 1:]

    usual = evidence()
    monkeypatch.setattr("latte_questions.annotators.FEWEST_ANSWERS", EACH // 2)
    log_ratios = evidence()
    assert torch.equal(log_ratios[:2], usual[:2])
    assert len(log_ratios[2]) == len(TRUTH) - EACH
    assert (log_ratios[2] - usual[2]).min() > 1, (
        "all other classes are more reliable than all answers"
    )


def test_one_image_refutes_an_answer_about_a_cluster_that_the_mixture_names_well() -> None:
    image_labels = labels(choices(), misnamed(), Asked(60, right_but_for_one_cluster))
    assert torch.equal(image_labels, labels(choices(), misnamed(), Asked(60, right)))


def test_clusters_come_first_and_each_question_is_asked_in_two_orders() -> None:
    questions = Asked(60, right)
    labels(choices(), misnamed(), questions)
    assert list(dict.fromkeys(questions.order)) == ["clusters", "controls", "images"]
    pairs = [request for purpose, request in questions.requests if purpose == "clusters"]
    for request, reversed_request in zip(pairs[::2], pairs[1::2], strict=True):
        assert request.options[:-1] == reversed_request.options[:-1][::-1]
        assert request.options[-1] == reversed_request.options[-1] == MIXED
        assert request.none_allowed
        assert not {*request.images[0].key.split()} & {*reversed_request.images[0].key.split()}


@pytest.mark.parametrize("budget", [60, 130, 400])
@pytest.mark.parametrize("answer", [first, lowest, refusal, none])
def test_a_useless_describer_changes_nothing(answer: Answering, budget: int) -> None:
    image_labels = labels(choices(), misnamed(), Asked(budget, answer))
    assert torch.equal(image_labels, without_questions())


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (first, "0 of 8 control questions right, fewer than a third"),
        (refusal, "0 control questions answered, fewer than 5"),
    ],
)
def test_nothing_is_asked_after_control_questions_that_rule_out_the_describer(
    answer: Answering, rule: str
) -> None:
    questions = Asked(400, answer)
    assert torch.equal(labels(choices(), misnamed(), questions), without_questions())
    assert "images" not in questions.order
    assert questions.reliability.startswith(f"The describer is ignored: {rule}.")


def test_a_forecast_goes_on_if_control_questions_have_no_stored_answer() -> None:
    questions = Asked(400, refusal)
    questions.is_forecast = True
    labels(choices(), misnamed(), questions)
    assert "images" in questions.order


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            Record(pairs=20, contradictory=1, controls=8, passed=8),
            "An estimated 94 % of the describer's answers are right (90 % interval: 74 to 98 %).",
        ),
        (
            Record(pairs=20, contradictory=12, controls=8, passed=4),
            "The describer is ignored: wrong in most cases with a probability of 99 %. An "
            "estimated 24 % of the describer's answers are right (90 % interval: 12 to 43 %).",
        ),
        (Record(), "The describer is ignored: 0 control questions answered, fewer than 5."),
    ],
)
def test_the_record_of_a_describer_in_words(record: Record, sentence: str) -> None:
    assert str(record) == sentence
    assert ("ignored" in sentence) == (record.reliability == 0)


def test_the_expected_gain_of_good_answers_is_reported_with_its_interval() -> None:
    questions = Asked(60, right)
    image_labels = labels(choices(), misnamed(), questions)
    (gain,) = questions.gains
    changed = float((image_labels != without_questions()).double().mean())
    assert gain.used
    assert 0.2 < gain.value < changed
    assert gain.low < gain.value < gain.high <= 1


@pytest.mark.parametrize("answer", [first, lowest, none])
def test_the_gain_of_a_useless_describer_is_zero(answer: Answering) -> None:
    questions = Asked(60, answer)
    labels(choices(), misnamed(), questions)
    assert questions.gains == [ExpectedGain(0, 0, 0, used=False)]


@pytest.mark.parametrize(("answer", "budget"), [(refusal, 60), (right, 0), (right, 130)])
def test_no_gain_is_reported_without_answers_or_for_more_than_a_fifth_of_the_images(
    answer: Answering, budget: int
) -> None:
    questions = Asked(budget, answer)
    labels(choices(), misnamed(), questions)
    assert questions.gains == []


@pytest.mark.parametrize("budget", [0, 30, 33, 1000])
def test_no_more_is_asked_than_the_budget_and_the_images_allow(budget: int) -> None:
    questions = Asked(budget, right)
    image_labels = labels(choices(), misnamed(), questions)
    assert len(questions.requests) <= min(budget, 2 * (CLASSES + len(TRUTH)) + 8)
    if budget == 0:
        assert torch.equal(image_labels, without_questions())


def test_a_budget_too_small_to_judge_the_describer_is_refused() -> None:
    questions = Asked(29, right)
    with pytest.raises(LatteError, match="budget is 29 questions; fewer than 30") as refused:
        labels(choices(), misnamed(), questions)
    assert refused.value.where == "budget"
    assert questions.requests == []


def test_equal_class_names_are_refused_before_anything_is_asked() -> None:
    questions = Asked(60, right)
    start = TrainingStart(**{**vars(misnamed()), "class_names": (NAMES[1], *NAMES[1:])})
    with pytest.raises(LatteError, match="must differ"):
        labels(choices(), start, questions)
    assert questions.requests == []


@pytest.mark.parametrize("answer", [right, first, refusal])
def test_later_epochs_use_the_answers_without_asking_again(answer: Answering) -> None:
    questions, labeler = Asked(60, answer), choices()
    labels(labeler, misnamed(), questions)
    count, state = len(questions.requests), labeler.state()
    questions.budget *= 2
    start = TrainingStart(**{**vars(misnamed()), "questions": questions})
    resumed = choices()
    resumed.start(start)
    resumed.load_state(state)
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(start)
    banks = {"main": FeatureBank(start.image_features)}
    for epoch_labeler in (labeler, resumed):
        epoch_labeler.on_epoch_start(banks, {"main": aggregator}, 1)
    assert len(questions.requests) == count
    assert all(torch.equal(value, resumed.state()[name]) for name, value in labeler.state().items())


def test_streams_have_the_most_probable_classes_of_each_image() -> None:
    labeler, rows = choices(), torch.tensor([5, 40, 0])
    image_labels = labels(labeler, misnamed(), Asked(60, right))
    features = misnamed().image_features[rows]
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    (stream,) = labeler.assign(Batch("main", rows, epoch=0, step=0), features, aggregator)
    posterior = stream.posterior
    assert posterior is not None
    assert torch.equal(stream.labels, image_labels[rows])
    assert torch.equal(posterior.labels[:, 0], stream.labels)
    assert posterior.labels.shape == posterior.probabilities.shape == (3, 5)
    assert bool((posterior.probabilities.diff(dim=1) <= 0).all())


def test_images_are_chosen_by_doubt_and_spread_over_neighbourhoods() -> None:
    start = misnamed()
    posteriors = torch.full((len(TRUTH), CLASSES), 0.01)
    posteriors[torch.arange(len(TRUTH)), TRUTH] = 0.93
    doubtful = (TRUTH == 2) | (TRUTH == 5)
    posteriors[doubtful] = 1 / CLASSES
    is_asked = torch.zeros(len(TRUTH), dtype=torch.bool)
    rows = choose_images(start.image_features, posteriors, TRUTH, is_asked, 4)
    assert len({*rows.tolist()}) == 4
    assert {*TRUTH[rows].tolist()} == {2, 5}
    is_asked[rows] = True
    further_rows = choose_images(start.image_features, posteriors, TRUTH, is_asked, 1000)
    assert not {*further_rows.tolist()} & {*rows.tolist()}
    assert len(further_rows) == len(TRUTH) - 4


def test_reliability_falls_with_contradictions_and_failed_controls() -> None:
    reliabilities = [Record(20, contradictory, 6, 6).reliability for contradictory in (0, 2, 4, 12)]
    assert reliabilities == sorted(reliabilities, reverse=True)
    assert reliabilities[0] > 0.9
    assert reliabilities[-1] == 0
    assert Record(20, 2, 8, 0).reliability == 0
    assert Record(20, 0, 4, 4).reliability == 0


@pytest.mark.parametrize(("agreeing", "counts"), [(0, True), (2, True), (12, False)])
def test_answers_against_a_reliable_mixture_are_left_out(agreeing: int, counts: bool) -> None:
    agreeing_answers = [PairedAnswer(torch.tensor([row]), 0, 5, True) for row in range(agreeing)]
    against = PairedAnswer(torch.tensor([19]), 1, 5, False)
    log_ratios = evidence([*agreeing_answers, against], 0.9, torch.zeros(20, 3))
    assert log_ratios is not None
    assert bool(log_ratios[19, 1] > 0) == counts
    assert int((log_ratios[:, 0] > 0).sum()) == agreeing


def test_no_answers_are_no_evidence() -> None:
    assert evidence([], 0.9, torch.zeros(2, 2)) is None
    assert evidence([PairedAnswer(torch.tensor([0]), 1, 2, True)], 0.0, torch.zeros(2, 2)) is None
