"""The benchmark of answers asks what its plans say, and gives all methods the same answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks import answer_plans, answer_recipes, answers
from benchmarks.answer_rivals import AnsweredSet, RivalLabels


def labelled_set(images: int = 60, classes: int = 3) -> LabelledSet:
    generator = torch.Generator().manual_seed(1)
    texts = normalize(torch.randn(classes, 8, generator=generator), dim=1)
    image_sets = []
    for _ in range(2):
        labels = torch.arange(images) % classes
        noise = torch.randn(images, 8, generator=generator)
        image_sets.append(LabelledImages(normalize(texts[labels] + 0.4 * noise, dim=1), labels))
    return LabelledSet(
        "toy", "toy", ("a", "b", "c"), texts, 25.0, *image_sets, encode_names=_random
    )


def _random(names: Sequence[str]) -> Tensor:
    generator = torch.Generator().manual_seed(len(names))
    return normalize(torch.randn(len(names), 8, generator=generator), dim=1)


def asked(plan: str) -> Tensor:
    answered = AnsweredSet(labelled_set())
    return answer_plans.answers(answered, plan, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("plan", "count"),
    [("0 per class", 0), ("2 per class", 6), ("10 random", 10), ("15 in order", 15)],
)
def test_plan_asks_for_true_classes(plan: str, count: int) -> None:
    given_classes = asked(plan)
    truth = labelled_set().train.labels
    assert int((given_classes >= 0).sum()) == count
    assert torch.equal(given_classes[given_classes >= 0], truth[given_classes >= 0])
    if plan.endswith("class"):
        assert given_classes[given_classes >= 0].bincount(minlength=3).tolist() == [count // 3] * 3


def test_groups_are_asked_about_at_their_centres() -> None:
    given_classes = asked("1 per group")
    assert 1 <= int((given_classes >= 0).sum()) <= 3


def test_a_sheet_names_the_images_of_its_commonest_class() -> None:
    answered = AnsweredSet(labelled_set())
    given_classes, groups = asked("1 sheet per group"), answered.without_answers.labels[:, 0]
    for label in groups.unique().tolist():
        named_classes = given_classes[(groups == label) & (given_classes >= 0)]
        assert 1 <= len(named_classes) <= 12
        assert len(named_classes.unique()) == 1


def test_asking_in_order_ends_while_some_images_have_no_answer() -> None:
    given_classes = asked(answer_plans.WORTH_ASKING)
    assert 1 <= int((given_classes >= 0).sum()) < len(given_classes)


def test_mistakes_are_other_classes_of_the_wanted_share() -> None:
    true = torch.arange(1000) % 3
    generator = torch.Generator().manual_seed(0)
    given_classes = answer_plans.with_mistakes(true, 0.2, 3, generator)
    assert 150 < int((given_classes != true).sum()) < 250
    assert {*given_classes.tolist()} == {0, 1, 2}
    assert torch.equal(answer_plans.with_mistakes(true, 0.0, 3, generator), true)


def test_own_accuracy_leaves_answered_images_out() -> None:
    answered = AnsweredSet(labelled_set())
    truth = answered.labelled.train.labels
    given_classes = torch.where(torch.arange(60) < 30, truth, -1)
    wrong_where_asked = torch.where(given_classes >= 0, (truth + 1) % 3, truth)
    labels = RivalLabels(wrong_where_asked, answered.labelled.test.labels)
    assert answers.accuracy(answered, given_classes, labels) == answers.Accuracy(100.0, 100.0, 30)


@pytest.mark.parametrize("method", answers.METHODS)
def test_each_method_learns_from_answers_that_contradict_the_texts(method: str) -> None:
    original = labelled_set()
    swapped = LabelledSet(
        "toy",
        "toy",
        original.names,
        original.texts[[1, 0, 2]],
        5.0,
        original.train,
        original.test,
        encode_names=_random,
    )
    answered = AnsweredSet(swapped)
    truth = original.train.labels
    given_classes = torch.where(torch.arange(60) < 30, truth, -1)
    labels = answers.METHODS[method](answered, given_classes)
    without = (swapped.test.features @ swapped.texts.T).argmax(dim=1)
    accuracy_without = float((without == original.test.labels).float().mean())
    assert float((labels.unseen == original.test.labels).float().mean()) > accuracy_without


@pytest.fixture(autouse=True)
def random_names(monkeypatch: pytest.MonkeyPatch) -> None:
    use_random_names(monkeypatch)


def use_random_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy set's features are of no CLIP, so neither are those of names of other things."""
    clip = SimpleNamespace(embedding_width=8)
    monkeypatch.setattr("benchmarks.folder_sets.load_clip", lambda model, registry: clip)
    monkeypatch.setattr("benchmarks.folder_sets.name_encoder", lambda clip, templates: _random)


def features_file(folder: Path) -> Path:
    """Write a labelled set as a file of features, and return its path."""
    toy, path = labelled_set(), folder / "toy.safetensors"
    tensors = {
        "training": toy.train.features,
        "training_labels": toy.train.labels,
        "evaluation": toy.test.features,
        "evaluation_labels": toy.test.labels,
        "class_features": toy.texts,
    }
    about = {"classes": json.dumps(toy.names), "logit_scale": str(toy.logit_scale)}
    save_file(tensors, path, about)
    return path


def test_command_prints_a_table_and_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = features_file(tmp_path)
    plans = ["--plan", "2 per class", "--plan", answer_plans.WORTH_ASKING]
    answers.main(["--features", str(path), *plans, "--draws", "2"])
    printed = capsys.readouterr().out
    assert "unseen images: mean accuracy of 1 sets, 2 draws" in printed
    assert all(f"| {name} |" in printed for name in answers.METHODS)
    assert "2 per class, minus" in printed
    assert "mean number of answers while worth asking: toy" in printed


def test_command_can_measure_latte_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = features_file(tmp_path)
    plans = ["--plan", "5 sheets", "--plan", answer_plans.NO_ANSWER]
    answers.main(["--features", str(path), *plans, "--draws", "1", "--no-rivals"])
    printed = capsys.readouterr().out
    assert "5 sheets, minus 0 per class: toy" in printed
    assert "| latte |" in printed
    assert "nearest mean" not in printed


def test_recipes_need_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        answers.main(["--features", str(features_file(tmp_path)), "--recipe", "demo"])
    assert "--recipe needs --set" in capsys.readouterr().err


def test_answers_of_a_recipe_name_files_and_classes() -> None:
    files = [Path("/photos/0.png"), Path("/photos/1.png"), Path("/photos/2.png")]
    table = answer_recipes._answers(files, torch.tensor([1, -1, 0]), ("cat", "dog"))
    assert table.splitlines() == ["path,class", "/photos/0.png,dog", "/photos/2.png,cat"]
