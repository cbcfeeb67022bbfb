"""The labeler `choices`: what it asks, and what answers of good and useless describers change."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing import PseudoLabelerContract, TinyRuns
from questions_double import (
    CLASSES,
    CONTEXT,
    NAMES,
    TRUTH,
    Answering,
    Asked,
    choices,
    first,
    labels,
    lowest,
    misnamed,
    mostly_right,
    none,
    refusal,
    right,
    without_questions,
)

from latte.api import (
    Batch,
    ChoiceRequest,
    FeatureBank,
    LabelerPrototypes,
    LatteError,
    ModelAnswers,
    NoOptions,
    TrainingStart,
    asking_order,
    self_taught,
)


class TestChoices(PseudoLabelerContract):
    component = "choices"


def start_with(**changes: object) -> TrainingStart:
    return TrainingStart(**{**vars(misnamed()), **changes})


def shown(questions: Asked, purpose: str = "images") -> list[int]:
    return [int(request.images[0].key) for name, request in questions.requests if name == purpose]


@pytest.mark.parametrize("answer", [right, mostly_right])
def test_answers_give_groups_their_names(answer: Answering) -> None:
    questions = Asked(60, answer)
    assert float((without_questions() == TRUTH).double().mean()) < 0.7
    assert float((labels(choices(), misnamed(), questions) == TRUTH).double().mean()) > 0.95
    assert questions.closed


def test_without_questions_labels_are_those_of_the_default() -> None:
    start, nobody = misnamed(), torch.full((len(TRUTH),), -1)
    taught = self_taught(start.image_features, start.class_features, nobody)
    assert torch.equal(without_questions(), taught.posterior.labels[:, 0])


def test_images_are_asked_about_in_the_order_in_which_a_person_is_asked() -> None:
    start, nobody = misnamed(), torch.full((len(TRUTH),), -1)
    posterior = self_taught(start.image_features, start.class_features, nobody).posterior
    differs = posterior.labels[:, 0] != start.zero_shot_labels
    is_asked, confidence = nobody >= 0, posterior.probabilities[:, 0]
    order = asking_order(start.image_features, confidence, differs, is_asked, 10)
    questions = Asked(60, right)
    labels(choices(), start, questions)
    assert shown(questions)[:10] == order.rows.tolist()
    assert len(set(shown(questions))) == 52


def test_controls_come_first_and_options_are_in_an_order_of_the_image() -> None:
    questions = Asked(60, right)
    labels(choices(), misnamed(), questions)
    assert questions.order == ["controls"] * 8 + ["images"] * 52
    requests = [request for purpose, request in questions.requests if purpose == "images"]
    assert all(request.none_allowed for request in requests)
    assert all(len(request.options) >= 5 for request in requests)
    assert len({request.options[0] for request in requests}) == CLASSES


def test_a_person_overrules_the_describer_and_is_a_control() -> None:
    given = torch.full((len(TRUTH),), -1)
    given[:6] = TRUTH[:6]
    questions, labeler = Asked(60, right), choices()
    labels(labeler, start_with(corrections=given), questions)
    assert not set(range(6)) & set(shown(questions))
    assert set(range(6)) <= set(shown(questions, "controls"))
    assert questions.notes["controls"] == (14, 0)


def test_controls_about_given_images_find_a_describer_that_is_wrong() -> None:
    given = torch.full((len(TRUTH),), -1)
    given[::12] = TRUTH[::12]

    def wrong(request: ChoiceRequest, truth: int) -> str:
        others = [name for name in request.options if name in NAMES and name != NAMES[truth]]
        return others[0] if others else "none"

    questions, start = Asked(60, wrong), start_with(corrections=given)
    image_labels = labels(choices(), start, questions)
    assert questions.notes["controls"] == (8, 8)
    assert torch.equal(image_labels, labels(choices(), start))


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


@pytest.mark.parametrize("budget", [0, 30, 33, 1000])
def test_no_more_is_asked_than_the_budget_and_the_images_allow(budget: int) -> None:
    questions = Asked(budget, right)
    image_labels = labels(choices(), misnamed(), questions)
    assert len(questions.requests) == min(budget, len(TRUTH) + 8)
    if budget == 0:
        assert torch.equal(image_labels, without_questions())


@pytest.mark.thorough
@pytest.mark.parametrize(("budget", "code"), [(1, 2), (29, 2), (30, 0), (0, 0)])
def test_a_budget_too_small_to_judge_the_describer_is_refused(
    latte_runs: TinyRuns, budget: int, code: int
) -> None:
    recipe = f"""\
dataset: {{use: folder, root: images, classes: [red, green]}}
backbone: {{model: "local-dir:clip"}}
describer: phrases
labels: [choices]
prototypes: from-labeler
train: {{max_steps: 0}}
budget: {budget}
"""
    (latte_runs.folder / "recipe.yaml").write_text(recipe)
    outcome = latte_runs.latte("check", "recipe.yaml")
    assert outcome.code == code
    refused = f"recipe.yaml:7 budget: the budget is {budget} questions; fewer than 30"
    assert (refused in " ".join(outcome.err.split())) == bool(code)


def test_equal_class_names_are_refused_before_anything_is_asked() -> None:
    questions = Asked(60, right)
    start = start_with(class_names=(NAMES[1], *NAMES[1:]))
    with pytest.raises(LatteError, match="must differ"):
        labels(choices(), start, questions)
    assert questions.requests == []


@pytest.mark.parametrize("answer", [right, first, refusal])
def test_later_epochs_use_the_answers_without_asking_again(answer: Answering) -> None:
    questions, labeler = Asked(60, answer), choices()
    labels(labeler, misnamed(), questions)
    count, state = len(questions.requests), labeler.state()
    questions.budget *= 2
    start = start_with(questions=questions)
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


def test_answers_that_count_are_saved_with_their_reliabilities() -> None:
    questions, doubted = Asked(60, right), Asked(60, first)
    labels(choices(), misnamed(), questions)
    assert questions.saved is not None
    assert len(questions.saved) > 30
    assert {row for row, _, _ in questions.saved} <= set(shown(questions))
    assert all(label == int(TRUTH[row]) for row, label, _ in questions.saved)
    assert all(0 < reliability < 1 for _, _, reliability in questions.saved)
    labels(choices(), misnamed(), doubted)
    assert doubted.saved == []


def test_answers_of_an_earlier_run_count_without_a_question() -> None:
    asked = torch.arange(len(TRUTH)) % 2 == 0
    earlier = ModelAnswers(TRUTH.where(asked, -1), asked * 0.9)
    start = start_with(model_answers=earlier)
    taught = self_taught(
        start.image_features,
        start.class_features,
        earlier.classes,
        reliabilities=earlier.reliabilities,
    )
    assert torch.equal(labels(choices(), start), taught.posterior.labels[:, 0])
    assert not torch.equal(labels(choices(), start), without_questions())
