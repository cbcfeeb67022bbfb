"""The estimate of the gain from answers: exact at the end, and honest on the way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import mean, stdev

import pytest

from latte.evaluate.confidence_sequence import confidence_sequence
from latte.results.answers import Answer, AnswerKind
from latte.results.estimate import Estimate, estimate
from latte.results.measured_gain import MeasuredGain
from latte.results.population import Population, draw, population
from latte.results.rows import PseudoLabels
from tests.helpers.strata import measurements

NAMES = ("cat", "dog", "bird")
_RANDOM = random.Random(0)
KEYS = [f"{_RANDOM.getrandbits(64):x}" for _ in range(300)]
TRUTH = {key: _RANDOM.randrange(3) for key in KEYS}


def answer(key: str, kind: AnswerKind = "class", label: int | None = None) -> Answer:
    name = NAMES[TRUTH[key] if label is None else label] if kind == "class" else None
    return Answer(key, kind, name, "evidence", "demo", "")


def models(gain: float = 0.2) -> Population:
    """A third of the images on which the models differ; the adapted one is right more often."""
    zero_shot, adapted = [], []
    for number, key in enumerate(KEYS):
        wrong = (TRUTH[key] + 1) % 3
        differs = number % 3 == 0
        better = number % 9 < 3 + 6 * gain
        zero_shot.append(wrong if differs and better else TRUTH[key])
        adapted.append(wrong if differs and not better else TRUTH[key])
    return compared(KEYS, zero_shot, adapted, [draw(key + "c") for key in KEYS])


def compared(
    keys: Sequence[str],
    zero_shot: Sequence[int],
    adapted: Sequence[int],
    confidence: Sequence[float],
    taught: Sequence[str] = (),
    series: Sequence[int] | None = None,
) -> Population:
    """A population of two models; the run uses the adapted one."""
    labels = PseudoLabels(tuple(zero_shot), tuple(adapted), tuple(confidence))
    return population(keys, labels, labels, taught, series)


def true_gain(population: Population) -> float:
    right = [
        (image.adapted == TRUTH[image.key]) - (image.zero_shot == TRUTH[image.key])
        for image in population.images
    ]
    return sum(right) / len(right)


def after(population: Population, answers: list[Answer]) -> Estimate:
    return estimate(population, {answer.key: answer for answer in answers}, NAMES)


def test_images_of_a_series_share_its_answer_and_the_sentence_counts_answers() -> None:
    series = [number // 30 for number in range(300)]  # all images of a series have the same class
    truth = {key: number // 30 % 3 for number, key in enumerate(KEYS)}
    zero_shot = [(truth[key] + number % 2) % 3 for number, key in enumerate(KEYS)]
    adapted = [(truth[key] + number % 5 // 4) % 3 for number, key in enumerate(KEYS)]
    population = compared(KEYS, zero_shot, adapted, [0.5] * 300, series=series)
    answer_by_key = dict[str, Answer]()
    while image := next(measurements(population, answer_by_key), None):
        answer_by_key[image.key] = answer(image.key, label=truth[image.key])
        every_answer = {
            series_image.key: answer(series_image.key, label=truth[series_image.key])
            for series_image in population.images
            if series_image.series
            in {shown.series for shown in population.images if shown.key in answer_by_key}
        }
        so_far, full = (
            estimate(population, answer_by_key, NAMES),
            estimate(population, every_answer, NAMES),
        )
        assert (so_far.gain, so_far.zero_shot, so_far.adapted) == (
            full.gain,
            full.zero_shot,
            full.adapted,
        )
        assert so_far.series <= len(answer_by_key)
    assert sorted(image.series for image in population.images if image.key in answer_by_key) == [
        *range(10)
    ]
    assert so_far.answered == len(population.disagreements) == 150
    assert so_far.gain.low == pytest.approx(0.3) == so_far.gain.high
    image_first = population.disagreements[0]
    once = estimate(
        population, {image_first.key: answer(image_first.key, label=truth[image_first.key])}, NAMES
    )
    assert once.series == 1
    part = estimate(population, {key: answer_by_key[key] for key in [*answer_by_key][:6]}, NAMES)
    assert (
        f"After {part.series} answers about {part.answered} images: " in MeasuredGain(part).sentence
    )


def test_the_rhythm_of_questions_counts_answers_and_not_images() -> None:
    series = [number // 4 for number in range(300)]
    population = compared(
        KEYS, [0] * 300, [int(n % 8 < 4) for n in range(300)], [0.5] * 300, (), series
    )
    answer_by_key, kinds = dict[str, Answer](), []
    for _ in range(12):
        image = next(measurements(population, answer_by_key))
        answer_by_key[image.key] = answer(image.key)
        kinds.append(image.disagrees)
    assert kinds == [True, True, True, False] * 3


def test_images_alone_are_drawn_as_before() -> None:
    population = models()
    strata = [[*population.disagreements], *map(list, population.agreements)]
    drawn = [*measurements(population, {})]
    assert len(drawn) == 300
    assert [image for image in drawn if image.disagrees] == strata[0]
    assert [image for image in drawn if image in strata[1]] == strata[1]
    assert [image for image in drawn if image in strata[2]] == strata[2]


def test_all_answers_give_the_exact_gain_and_accuracies() -> None:
    population = models()
    full = after(population, [answer(key) for key in KEYS])
    assert full.gain.low == pytest.approx(true_gain(population))
    assert full.gain.high == pytest.approx(true_gain(population))
    right = sum(image.adapted == TRUTH[image.key] for image in population.images) / len(KEYS)
    assert (full.adapted.low, full.adapted.high) == pytest.approx((right, right))
    assert full.better == "adapted"
    points = f"{100 * true_gain(population):+.1f} points"
    assert MeasuredGain(full).sentence == (
        f"All {len(population.disagreements)} disagreements are answered: the adapted model "
        f"changes accuracy by {points} on the {len(KEYS)} images of this review."
    )


def test_the_interval_shrinks_around_the_gain() -> None:
    population, reach = models(), []
    for count in (0, 10, 30, 60):
        so_far = after(
            population, [answer(image.key) for image in population.disagreements[:count]]
        )
        assert so_far.answered == count
        assert so_far.gain.low - 1e-9 <= true_gain(population) <= so_far.gain.high + 1e-9
        reach.append(so_far.gain.high - so_far.gain.low)
    assert reach == sorted(reach, reverse=True)
    assert reach[0] == pytest.approx(2 * len(population.disagreements) / len(KEYS))


def test_error_probabilities_of_the_strata_add_up_to_five_percent() -> None:
    population = models()
    strata = [population.disagreements, *population.agreements]
    answered = [image for images in strata for image in images[:30]]
    so_far = after(population, [answer(image.key) for image in answered])
    expected = [0.0, 0.0]
    for images in strata:
        right = [float(image.adapted == TRUTH[image.key]) for image in images[:30]]
        mean = confidence_sequence(right, len(images), 0, 1, level=1 - 0.05 / len(strata))
        expected[0] += mean.low * len(images) / len(KEYS)
        expected[1] += mean.high * len(images) / len(KEYS)
    assert len(strata) == 3
    assert (so_far.adapted.low, so_far.adapted.high) == pytest.approx(expected)


def test_only_answers_before_the_first_gap_count() -> None:
    population = models()
    keys = [image.key for image in population.disagreements[:20]]
    gap = after(population, [answer(key) for key in keys if key != keys[5]])
    assert gap.answered == 5


def test_only_answers_before_the_first_unanswered_image_count() -> None:
    population = models()
    keys = [image.key for image in population.disagreements[:20]]
    mixed = after(population, [answer(key) for key in keys if key != keys[3]])
    assert (mixed.answered, mixed.waiting) == (3, 16)


def test_none_of_these_is_wrong_for_both_and_unsure_is_bounded_both_ways() -> None:
    population = models()
    keys = [image.key for image in population.disagreements[:40]]
    none = after(population, [answer(key, "none") for key in keys])
    assert (none.neither, none.gain.value) == (40, 0)
    classified = after(population, [answer(key) for key in keys])
    unsure = after(
        population, [answer(key, "unsure" if key in keys[:5] else "class") for key in keys]
    )
    assert unsure.unsure == 5
    for label in range(3):
        one_other = after(
            population, [answer(key, label=label if key in keys[:5] else None) for key in keys]
        )
        assert unsure.gain.low <= one_other.gain.low + 1e-9
        assert one_other.gain.high - 1e-9 <= unsure.gain.high
    assert unsure.gain.high - unsure.gain.low > classified.gain.high - classified.gain.low


def test_copies_are_one_image_and_the_order_belongs_to_the_content() -> None:
    duplicated = compared(KEYS * 2, [0] * 600, [1] * 600, [0.5] * 600)
    assert len(duplicated.images) == 300
    reordered = compared(KEYS[::-1], [1] * 300, [2] * 300, [0.1] * 300)
    assert [image.key for image in reordered.images] == [image.key for image in duplicated.images]


def test_images_that_taught_the_model_do_not_measure_it() -> None:
    population = compared(KEYS, [0] * 300, [1] * 300, [0.5] * 300, KEYS[:40])
    assert {image.key for image in population.images} == {*KEYS[40:]}


@pytest.mark.thorough
def test_with_series_the_gain_is_unbiased_and_covered_after_every_answer() -> None:
    """Simulate reviewers who are asked about one image of each series of 1 to 30 images.

    The models are right on whole series, and rather on the large ones.
    """
    numbers = random.Random(0)
    sizes = [numbers.randint(1, 30) for _ in range(24)]
    series = [number for number, size in enumerate(sizes) for _ in range(size)]
    truth = [number % 3 for number in series]
    right = [size > 12 for size in sizes]
    zero_shot = [(label + right[number]) % 3 for label, number in zip(truth, series, strict=True)]
    adapted = [
        (label + (not right[number])) % 3 for label, number in zip(truth, series, strict=True)
    ]
    gain = sum(2 * right[number] - 1 for number in series) / len(series)
    gain_of_series = sum(2 * number - 1 for number in right) / len(right)
    assert gain > gain_of_series + 0.2
    reviewers, covered, gains = 100, 0, list[float]()
    for _ in range(reviewers):
        keys = [f"{numbers.getrandbits(64):x}" for _ in series]
        population = compared(keys, zero_shot, adapted, [0.5] * len(keys), series=series)
        label = dict(zip(keys, truth, strict=True))
        answer_by_key, estimates = dict[str, Answer](), []
        for image, _ in zip(measurements(population, {}), range(10), strict=False):
            answer_by_key[image.key] = answer(image.key, label=label[image.key])
            estimates.append(estimate(population, answer_by_key, NAMES))
        assert [so_far.series for so_far in estimates] == [*range(1, 11)]
        covered += all(
            so_far.gain.low - 1e-9 <= gain <= so_far.gain.high + 1e-9 for so_far in estimates
        )
        answered_first = estimates[0].answered
        gains.append(2 * right[population.images[0].series] - 1)
        assert answered_first == 1 or population.images[1].series == population.images[0].series
    assert covered >= 0.95 * reviewers
    assert abs(mean(gains) - gain) < 3.5 * stdev(gains) / reviewers**0.5


@pytest.mark.thorough
def test_the_gain_is_unbiased_and_covered_at_every_stop() -> None:
    """Simulate reviewers; each draws the images in another order."""
    numbers = random.Random(0)
    images = 240
    truth = [numbers.randrange(3) for _ in range(images)]
    zero_shot = [label if numbers.random() < 0.5 else (label + 1) % 3 for label in truth]
    stops, reviewers = (8, 24), 150
    for right, changed in ((0.7, 0.4), (0.6, 0.3)):
        adapted = [
            zero_shot_label
            if numbers.random() > changed
            else true_label
            if numbers.random() < right
            else 2
            for zero_shot_label, true_label in zip(zero_shot, truth, strict=True)
        ]
        zero_shot_top1, adapted_top1 = (
            sum(map(int.__eq__, labels, truth)) / images for labels in (zero_shot, adapted)
        )
        gains, covered = list[float](), 0
        for _ in range(reviewers):
            keys = [f"{numbers.getrandbits(64):x}" for _ in range(images)]
            population = compared(keys, zero_shot, adapted, truth)
            label = dict(zip(keys, truth, strict=True))
            given_answers = [
                answer(image.key, label=label[image.key])
                for image in population.disagreements[: stops[-1]]
            ]
            estimates = [
                estimate(population, {each.key: each for each in given_answers[:stop]}, NAMES)
                for stop in stops
            ]
            covered += all(
                estimated.gain.low - 1e-9
                <= adapted_top1 - zero_shot_top1
                <= estimated.gain.high + 1e-9
                for estimated in estimates
            )
            gains.append(estimates[-1].gain.value)
        assert covered >= 0.94 * reviewers
        assert (
            abs(mean(gains) - (adapted_top1 - zero_shot_top1)) < 3.5 * stdev(gains) / reviewers**0.5
        )


def test_no_accuracy_is_claimed_before_the_first_answer() -> None:
    for count in range(2, 60):
        adapted = [int(number % 3 == 0) for number in range(count)]
        population = compared(KEYS[:count], [0] * count, adapted, [0.5] * count)
        assert len(MeasuredGain(after(population, [])).lines) == 1
