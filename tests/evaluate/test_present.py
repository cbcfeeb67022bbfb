"""Which classes occur, from probabilities of unlabelled images."""

from __future__ import annotations

import pytest
import torch

from latte.evaluate.present import present_classes


def test_certain_images_make_their_classes_present_and_no_others() -> None:
    found = present_classes(torch.eye(5)[torch.tensor([1, 1, 3])])
    assert found.expected == 2
    assert found.interval == (2.0, 2.0)
    assert found.counts.tolist() == [0, 2, 0, 1, 0]
    assert found.unsupported == (0, 2, 4)


def test_the_formula_on_numbers_done_by_hand() -> None:
    found = present_classes(torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64))
    assert found.present.tolist() == pytest.approx([0.75, 0.75])
    assert found.expected == pytest.approx(1.5)
    margin = 1.959964 * (2 * 0.75 * 0.25) ** 0.5
    assert found.interval == pytest.approx((1.5 - margin, 2.0))


def test_the_number_of_classes_that_occur_lies_in_the_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    inside, rounds = 0, 100
    for _ in range(rounds):
        probabilities = torch.rand(40, 60, generator=generator).pow(12)
        probabilities /= probabilities.sum(dim=1, keepdim=True)
        drawn = len(
            set(torch.multinomial(probabilities, 1, generator=generator).flatten().tolist())
        )
        low, high = present_classes(probabilities).interval
        inside += low <= drawn <= high
    assert inside >= 90


def test_labels_with_probabilities_say_the_same_as_the_whole_matrix() -> None:
    probabilities = torch.rand(20, 6, generator=torch.Generator().manual_seed(3)).softmax(dim=1)
    values, labels = probabilities.topk(6, dim=1)
    whole, sparse = present_classes(probabilities), present_classes(values, labels, classes=6)
    assert torch.allclose(whole.counts, sparse.counts)
    assert whole.expected == pytest.approx(sparse.expected)


def test_what_the_top_leaves_out_counts_for_no_class() -> None:
    found = present_classes(torch.tensor([[0.6], [0.4]]), torch.tensor([[2], [2]]), classes=3)
    assert found.counts.tolist() == pytest.approx([0, 0, 1.0])
    assert found.present.tolist() == pytest.approx([0, 0, 1 - 0.4 * 0.6])
    assert found.unsupported == (0, 1)


def test_without_images_nothing_occurs() -> None:
    found = present_classes(torch.zeros(0, 3))
    assert (found.expected, found.interval, found.unsupported) == (0, (0, 0), (0, 1, 2))


@pytest.mark.parametrize(
    ("probabilities", "labels", "classes", "words"),
    [
        (torch.ones(3), None, None, "matrix"),
        (torch.full((1, 2), 1.5), None, None, "between 0 and 1"),
        (torch.full((1, 2), float("nan")), None, None, "between 0 and 1"),
        (torch.ones(1, 2), None, 3, "2 columns are not 3 classes"),
        (torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.long), None, "need `classes`"),
        (torch.ones(1, 1), torch.zeros(2, 1, dtype=torch.long), 3, "the shape"),
        (torch.ones(1, 1), torch.full((1, 1), 3), 3, "none of 3 classes"),
    ],
)
def test_what_is_no_answer_of_a_classifier_is_refused(
    probabilities: torch.Tensor, labels: torch.Tensor | None, classes: int | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        present_classes(probabilities, labels, classes=classes)
