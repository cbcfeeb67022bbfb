"""The labeler `choices`: what it asks, and what answers of good and useless describers change."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from latte_questions.belief import Answer, Record, evidence
from latte_questions.candidates import CandidateStream
from latte_questions.interview import MIXED, choose_images
from latte_questions.labeler import ChoicesLabeler
from latte_questions.options import ChoicesOptions
from latte_transductive.labeler import TransductiveLabeler
from latte_transductive.options import TransductiveOptions
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Choice,
    ChoiceRequest,
    Context,
    DescribedImage,
    DescribeRequest,
    ExpectedGain,
    FeatureBank,
    LabelerPrototypes,
    LatteError,
    NoOptions,
    TrainingStart,
)
from latte.testing import PseudoLabelerContract, StubClip

CLASSES, EACH = 8, 12
NAMES = tuple(f"class {label}" for label in range(CLASSES))
TRUTH = torch.arange(CLASSES).repeat_interleave(EACH)
CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
Answering = Callable[[ChoiceRequest, int], str | None]
"""Function from a request and the true class to the chosen option; None refuses."""


class TestChoices(PseudoLabelerContract):
    component = "choices"


class Asked:
    """Questions whose describer is two functions; an image's key is its index."""

    def __init__(
        self, budget: int, answer: Answering, write: Callable[[str], str | None] = lambda _: None
    ) -> None:
        self.budget = budget
        self.answer = answer
        self.write = write
        self.requests: list[tuple[str, ChoiceRequest]] = []
        self.texts: list[tuple[str, DescribeRequest]] = []
        self.notes: dict[str, tuple[int, int]] = {}
        self.order: list[str] = []
        self.gains: list[ExpectedGain] = []
        self.closed = False

    @property
    def asked(self) -> int:
        return len(self.requests) + len(self.texts)

    def image(self, index: int) -> DescribedImage:
        return DescribedImage(str(index), torch.ones(1), lambda: Image.new("RGB", (1, 1)))

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        key = " ".join(map(str, indices))
        return DescribedImage(key, torch.ones(1), lambda: Image.new("RGB", (1, 1)))

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        self.requests += [(purpose, one) for one in requests]
        self.order += [purpose] * len(requests)
        assert self.asked <= self.budget
        return [self._choice(one) for one in requests]

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        self.texts += [(purpose, one) for one in requests]
        self.order += [purpose] * len(requests)
        assert self.asked <= self.budget
        return [self.write(one.prompt) for one in requests]

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        self.notes[purpose] = (kept, contradictory)

    def note_gain(self, gain: ExpectedGain) -> None:
        self.gains.append(gain)

    def close(self) -> None:
        self.closed = True

    def _choice(self, request: ChoiceRequest) -> Choice | None:
        rows = [int(row) for row in request.images[0].key.split()]
        chosen = self.answer(request, int(TRUTH[rows].mode().values))
        if chosen is None:
            return None
        shown = (*request.options, "none")
        return request.choice([float(one == chosen) for one in shown])


def right(request: ChoiceRequest, truth: int) -> str:
    return NAMES[truth] if NAMES[truth] in request.options else "none"


def first(request: ChoiceRequest, truth: int) -> str:
    return request.options[0]


def lowest(request: ChoiceRequest, truth: int) -> str:
    """Choose the same option in each order, whatever the images show."""
    return min(request.options)


def right_but_for_one_cluster(request: ChoiceRequest, truth: int) -> str:
    return NAMES[4] if truth == 3 and MIXED in request.options else right(request, truth)


def contradictory_about_one_class(request: ChoiceRequest, truth: int) -> str:
    is_image = MIXED not in request.options and set(request.options) <= set(NAMES)
    return first(request, truth) if is_image and truth == CLASSES - 1 else right(request, truth)


def refusal(request: ChoiceRequest, truth: int) -> None:
    return None


def none(request: ChoiceRequest, truth: int) -> str:
    return "none"


def misnamed(noise: float = 0.12) -> TrainingStart:
    """Clusters, clear at little noise, of which three have the name of another."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(CLASSES, 16)
    images = centres[TRUTH] + noise * torch.randn(len(TRUTH), 16, generator=generator)
    images = normalize(images, dim=1)
    # Text logits of an image differ by about 3, as those of CLIP do.
    texts = torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5, 6, 7]]
    texts = normalize(texts, dim=1)
    return TrainingStart(
        NAMES, texts, images, (images @ texts.T).argmax(dim=1), lambda name: images
    )


def labels(
    labeler: TransductiveLabeler, start: TrainingStart, questions: Asked | None = None
) -> Tensor:
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(start)
    labeler.start(
        start if questions is None else TrainingStart(**{**vars(start), "questions": questions})
    )
    labeler.on_epoch_start({"main": FeatureBank(start.image_features)}, {"main": aggregator}, 0)
    posterior = labeler.posterior("main")
    assert posterior is not None
    return posterior.labels[:, 0]


def choices() -> ChoicesLabeler:
    return ChoicesLabeler(ChoicesOptions(), CONTEXT)


def without_questions() -> Tensor:
    return labels(TransductiveLabeler(TransductiveOptions(), CONTEXT), misnamed())


def test_right_answers_give_clusters_their_names() -> None:
    asked = Asked(60, right)
    assert float((without_questions() == TRUTH).double().mean()) < 0.7
    assert float((labels(choices(), misnamed(), asked) == TRUTH).double().mean()) > 0.95
    assert asked.closed


def test_enough_answers_about_a_class_change_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    def evidence() -> Tensor:
        labeler = choices()
        labels(labeler, misnamed(), Asked(1000, contradictory_about_one_class))
        return labeler.state()["evidence"][:, 1:]

    usual = evidence()
    monkeypatch.setattr("latte_questions.annotators.FEWEST_ANSWERS", EACH // 2)
    found = evidence()
    assert torch.equal(found[:2], usual[:2])
    assert len(found[2]) == len(TRUTH) - EACH
    assert (found[2] - usual[2]).min() > 1, "all other classes are more reliable than all answers"


def test_one_image_refutes_an_answer_about_a_cluster_that_the_mixture_names_well() -> None:
    found = labels(choices(), misnamed(), Asked(60, right_but_for_one_cluster))
    assert torch.equal(found, labels(choices(), misnamed(), Asked(60, right)))


def test_clusters_come_first_and_each_question_is_asked_in_two_orders() -> None:
    asked = Asked(60, right)
    labels(choices(), misnamed(), asked)
    assert list(dict.fromkeys(asked.order)) == ["clusters", "controls", "images"]
    pairs = [one for purpose, one in asked.requests if purpose == "clusters"]
    for one, two in zip(pairs[::2], pairs[1::2], strict=True):
        assert one.options[:-1] == two.options[:-1][::-1]
        assert one.options[-1] == two.options[-1] == MIXED
        assert one.none_allowed
        assert not {*one.images[0].key.split()} & {*two.images[0].key.split()}


@pytest.mark.parametrize("budget", [60, 130, 400])
@pytest.mark.parametrize("answer", [first, lowest, refusal, none])
def test_a_useless_describer_changes_nothing(answer: Answering, budget: int) -> None:
    found = labels(choices(), misnamed(), Asked(budget, answer))
    assert torch.equal(found, without_questions())


def test_the_expected_gain_of_good_answers_is_reported_with_its_interval() -> None:
    asked = Asked(60, right)
    found = labels(choices(), misnamed(), asked)
    (gain,) = asked.gains
    changed = float((found != without_questions()).double().mean())
    assert gain.used
    assert 0.2 < gain.value < changed
    assert gain.low < gain.value < gain.high <= 1


@pytest.mark.parametrize("answer", [first, lowest, none])
def test_the_gain_of_a_useless_describer_is_zero(answer: Answering) -> None:
    asked = Asked(60, answer)
    labels(choices(), misnamed(), asked)
    assert asked.gains == [ExpectedGain(0, 0, 0, used=False)]


@pytest.mark.parametrize(("answer", "budget"), [(refusal, 60), (right, 0), (right, 130)])
def test_no_gain_is_reported_without_answers_or_for_more_than_a_fifth_of_the_images(
    answer: Answering, budget: int
) -> None:
    asked = Asked(budget, answer)
    labels(choices(), misnamed(), asked)
    assert asked.gains == []


@pytest.mark.parametrize("budget", [0, 30, 33, 1000])
def test_no_more_is_asked_than_the_budget_and_the_images_allow(budget: int) -> None:
    asked = Asked(budget, right)
    found = labels(choices(), misnamed(), asked)
    assert len(asked.requests) <= min(budget, 2 * (CLASSES + len(TRUTH)) + 8)
    if budget == 0:
        assert torch.equal(found, without_questions())


def test_a_budget_too_small_to_judge_the_describer_is_refused() -> None:
    asked = Asked(29, right)
    with pytest.raises(LatteError, match="enough for 29 questions; fewer than 30") as refused:
        labels(choices(), misnamed(), asked)
    assert refused.value.where == "budget"
    assert asked.requests == []


def test_equal_class_names_are_refused_before_anything_is_asked() -> None:
    asked = Asked(60, right)
    start = TrainingStart(**{**vars(misnamed()), "class_names": (NAMES[1], *NAMES[1:])})
    with pytest.raises(LatteError, match="must differ"):
        labels(choices(), start, asked)
    assert asked.requests == []


@pytest.mark.parametrize("answer", [right, first, refusal])
def test_later_epochs_use_the_answers_without_asking_again(answer: Answering) -> None:
    asked, labeler = Asked(60, answer), choices()
    labels(labeler, misnamed(), asked)
    count, state = len(asked.requests), labeler.state()
    asked.budget *= 2
    start = TrainingStart(**{**vars(misnamed()), "questions": asked})
    resumed = choices()
    resumed.start(start)
    resumed.load_state(state)
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(start)
    banks = {"main": FeatureBank(start.image_features)}
    for one in (labeler, resumed):
        one.on_epoch_start(banks, {"main": aggregator}, 1)
    assert len(asked.requests) == count
    assert all(torch.equal(value, resumed.state()[name]) for name, value in labeler.state().items())


def test_streams_have_the_most_probable_classes_of_each_image() -> None:
    labeler, rows = choices(), torch.tensor([5, 40, 0])
    found = labels(labeler, misnamed(), Asked(60, right))
    features = misnamed().image_features[rows]
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    (stream,) = labeler.assign(Batch("main", rows, epoch=0, step=0), features, aggregator)
    assert isinstance(stream, CandidateStream)
    assert torch.equal(stream.labels, found[rows])
    assert torch.equal(stream.candidates[:, 0], stream.labels)
    assert stream.candidates.shape == stream.probabilities.shape == (3, 5)
    assert bool((stream.probabilities.diff(dim=1) <= 0).all())


def test_images_are_chosen_by_doubt_and_spread_over_neighbourhoods() -> None:
    start = misnamed()
    posteriors = torch.full((len(TRUTH), CLASSES), 0.01)
    posteriors[torch.arange(len(TRUTH)), TRUTH] = 0.93
    doubtful = (TRUTH == 2) | (TRUTH == 5)
    posteriors[doubtful] = 1 / CLASSES
    asked = torch.zeros(len(TRUTH), dtype=torch.bool)
    chosen = choose_images(start.image_features, posteriors, TRUTH, asked, 4)
    assert len({*chosen.tolist()}) == 4
    assert {*TRUTH[chosen].tolist()} == {2, 5}
    asked[chosen] = True
    again = choose_images(start.image_features, posteriors, TRUTH, asked, 1000)
    assert not {*again.tolist()} & {*chosen.tolist()}
    assert len(again) == len(TRUTH) - 4


def test_reliability_falls_with_contradictions_and_failed_controls() -> None:
    found = [Record(20, contradictory, 6, 6).reliability for contradictory in (0, 2, 4, 12)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    assert found[-1] == 0
    assert Record(20, 2, 8, 0).reliability == 0
    assert Record(20, 0, 4, 4).reliability == 0


@pytest.mark.parametrize(("agreeing", "counts"), [(0, True), (2, True), (12, False)])
def test_answers_against_a_reliable_mixture_are_left_out(agreeing: int, counts: bool) -> None:
    own = [Answer(torch.tensor([row]), 0, 5, True) for row in range(agreeing)]
    against = Answer(torch.tensor([19]), 1, 5, False)
    found = evidence([*own, against], 0.9, torch.zeros(20, 3))
    assert found is not None
    assert bool(found[19, 1] > 0) == counts
    assert int((found[:, 0] > 0).sum()) == agreeing


def test_no_answers_are_no_evidence() -> None:
    assert evidence([], 0.9, torch.zeros(2, 2)) is None
    assert evidence([Answer(torch.tensor([0]), 1, 2, True)], 0.0, torch.zeros(2, 2)) is None


WORDED = ChoicesOptions(names=True, differences=True)
CENTRES = torch.eye(CLASSES, 16)


def fitting(prompt: str) -> str:
    """Write wordings that `encode` understands, of the classes that the prompt names."""
    numbers = [name.split()[1] for name in re.findall(r'"(class \d)"', prompt)]
    if prompt.startswith("Write"):
        return f"1. thing {numbers[0]}\n2. class 0"
    return "\n".join(f"like {number}" for number in dict.fromkeys(numbers))


def swapped(prompt: str) -> str:
    """Write wordings of other classes."""
    return re.sub(r"(thing|like) (\d)", lambda found: f"thing {(int(found[2]) + 1) % 8}",
                  fitting(prompt))  # fmt: skip


def useless(prompt: str) -> str:
    """Repeat a class name, or write sentences."""
    return "class 1\n\n- Class 1.\n* I am sorry, but I cannot name what is not shown here"


def encode(names: Sequence[str]) -> Tensor:
    base = torch.eye(16)[15]
    return normalize(base + 0.06 * torch.stack([CENTRES[int(one[-1])] for one in names]), dim=1)


def worded(
    asked: Asked,
    options: ChoicesOptions = WORDED,
    labeler: ChoicesLabeler | None = None,
    noise: float = 0.12,
) -> Tensor:
    start = TrainingStart(**{**vars(misnamed(noise)), "encode_names": encode})
    return labels(labeler or ChoicesLabeler(options, CONTEXT), start, asked)


def test_names_come_first_and_differences_after_the_controls() -> None:
    asked = Asked(130, right, fitting)
    worded(asked, noise=0.4)
    purposes = list(dict.fromkeys(asked.order))
    assert purposes == ["class-names", "clusters", "controls", "differences", "images"]
    assert all(request.images == () for _, request in asked.texts)
    assert len({request.prompt for _, request in asked.texts}) == len(asked.texts)
    names = [request.prompt for purpose, request in asked.texts if purpose == "class-names"]
    assert len(names) == CLASSES
    assert asked.order.count("differences") < CLASSES


def test_a_small_budget_goes_to_few_names() -> None:
    asked = Asked(40, right, fitting)
    worded(asked)
    assert asked.order.count("class-names") == 4
    assert asked.order.count("differences") <= 2
    assert asked.asked <= 40


def test_wordings_that_fit_the_answers_change_the_class_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Otherwise the many questions alone would leave no expected gain.
    monkeypatch.setattr("latte_questions.interview.LARGEST_SHARE", 1.0)
    asked, labeler = Asked(130, right, fitting), ChoicesLabeler(WORDED, CONTEXT)
    found = worded(asked, labeler=labeler)
    assert asked.notes["class-names"] == (CLASSES, 0)
    assert asked.gains == [], "the estimate is not calibrated for other class texts"
    assert float((found == TRUTH).double().mean()) > 0.95
    texts, start = labeler.state()["texts"], misnamed()
    accuracies = [
        float(((start.image_features @ one.T).argmax(dim=1) == TRUTH).double().mean())
        for one in (start.class_features, texts)
    ]
    assert accuracies[1] > accuracies[0] + 0.2
    assert torch.allclose(texts.norm(dim=1), torch.ones(CLASSES))


@pytest.mark.parametrize("write", [swapped, useless, lambda _: None])
def test_wordings_that_do_not_fit_change_nothing(write: Callable[[str], str | None]) -> None:
    """With a budget for all images, the other questions are the same."""
    asked = Asked(1000, right, write)
    assert torch.equal(worded(asked), worded(Asked(1000, right), ChoicesOptions()))
    assert asked.notes.get("class-names", (0, 0))[0] == 0


@pytest.mark.parametrize("answer", [first, lowest, refusal, none])
def test_wordings_of_a_useless_describer_change_nothing(answer: Answering) -> None:
    labeler = ChoicesLabeler(WORDED, CONTEXT)
    assert torch.equal(worded(Asked(60, answer, fitting), labeler=labeler), without_questions())
    assert "texts" not in labeler.state()


def test_a_resumed_run_keeps_the_class_texts_and_asks_nothing() -> None:
    asked, labeler = Asked(130, right, fitting), ChoicesLabeler(WORDED, CONTEXT)
    found = worded(asked, labeler=labeler)
    again = Asked(130, right, fitting)
    assert torch.equal(worded(again), found)
    assert again.order == asked.order
    resumed = Resumed(WORDED, CONTEXT)
    resumed.saved = labeler.state()
    silent = Asked(130, right, fitting)
    assert torch.equal(worded(silent, labeler=resumed), found)
    assert silent.order == []


class Resumed(ChoicesLabeler):
    """Labeler that continues from a stored state."""

    saved: dict[str, Tensor]

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self.load_state(self.saved)
