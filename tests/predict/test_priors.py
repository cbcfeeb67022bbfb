"""Predictions under class priors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from latte.evaluate.predictions import predict_rows
from latte.evaluate.priors import estimate_priors, reweighted
from latte.interfaces import LatteError
from latte.predict import priors as module
from latte.predict.priors import Scored, read_priors, shares_line, with_priors

NAMES = ("cat", "dog", "sea lion")
SCALE = 7.5


def batches(images: int = 10, size: int = 4) -> list[Scored]:
    similarities = torch.rand(images, 3, generator=torch.Generator().manual_seed(0))
    names = tuple(f"{number}.jpg" for number in range(images))
    keys: tuple[str | None, ...] = (None,) * images
    return [
        Scored(names[i : i + size], keys[i : i + size], similarities[i : i + size])
        for i in range(0, images, size)
    ]


def probabilities(scored: list[Scored]) -> torch.Tensor:
    return torch.cat([(one.similarities * SCALE).softmax(dim=1) for one in scored]).double()


def test_given_priors_reweight_the_probabilities() -> None:
    shares = torch.tensor([0.5, 0.5, 0.0]).double()
    found = probabilities(list(with_priors(batches(), shares, SCALE)))
    expected = reweighted(probabilities(batches()), shares)
    assert torch.allclose(found, expected, atol=1e-6)
    assert found[:, 2].max() == 0


def test_equal_priors_change_nothing() -> None:
    found = probabilities(list(with_priors(batches(), torch.full((3,), 1 / 3), SCALE)))
    assert torch.allclose(found, probabilities(batches()), atol=1e-6)


def test_auto_estimates_shares_on_all_images_and_reports_them() -> None:
    reported: list[torch.Tensor] = []
    found = list(with_priors(batches(), "auto", SCALE, reported.append))
    posteriors = probabilities(batches())
    assert torch.allclose(reported[0], estimate_priors(posteriors), atol=1e-6)
    assert torch.allclose(probabilities(found), reweighted(posteriors, reported[0]), atol=1e-5)
    assert [name for batch in found for name in batch.names] == [f"{i}.jpg" for i in range(10)]


def test_a_class_of_no_share_comes_last_in_the_top() -> None:
    shares = torch.tensor([0.0, 0.5, 0.5])
    shifted = next(iter(with_priors(batches(1), shares, SCALE)))
    (row,) = predict_rows(shifted.names, shifted.similarities, NAMES, logit_scale=SCALE, top_k=3)
    assert row.classes[-1].name == "cat"
    assert row.classes[-1].score == 0


def test_auto_without_images_yields_nothing() -> None:
    assert list(with_priors([], "auto", SCALE)) == []


def test_auto_on_too_many_images_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 20)
    with pytest.raises(LatteError, match="at most 6 images of 3 classes") as caught:
        list(with_priors(batches(), "auto", SCALE))
    assert "as priors for all" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "class,share\ncat,0.5\ndog,0.25\nSea_Lion,0.25\n"),
        ("a.csv", "cat,0.5\n\ndog,0.25\nsea lion,0.25\n"),
        ("a.csv", "sea lion,10\ncat,20\ndog,10\n"),
        ("a.json", '{"cat": 0.5004, "dog": 0.2502, "sea lion": 0.2502}'),
        ("a.json", '{"cat": 2, "dog": 1, "sea lion": 1}'),
    ],
)
def test_files_with_shares_or_counts(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_priors(tmp_path / name, NAMES)
    assert found.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-3)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "cat,0.5\ndgo,0.5\n", "unknown class 'dgo'"),
        ("a.csv", "cat,0.5\ndog,0.5\n", "no share for sea lion"),
        ("a.csv", "cat,0.5\nCAT,0.5\n", "has a share twice"),
        ("a.csv", "cat,0.5\ndog,much\n", "is no number: 'much'"),
        ("a.csv", "cat,1.5\ndog,-0.5\n", "not 0 or more"),
        ("a.csv", "cat,nan\n", "not 0 or more"),
        ("a.csv", "cat\n", "a line has a class and a number"),
        ("a.csv", "cat,0.5\ndog,0.2\nsea lion,0.2\n", "sum to 0.9, not to 1"),
        ("a.csv", "cat,0\ndog,0\nsea lion,0\n", "sum to 0, not to 1"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1, 2]", "is not a mapping"),
        ("a.json", '{"cat": true}', "is no number: True"),
        ("a.json", '{"cat": [0.5]}', "is no number"),
        ("a.json", '{"cat": 1e999}', "not 0 or more"),
    ],
)
def test_unusable_priors_file_is_an_error_with_the_reason(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LatteError, match=words):
        read_priors(tmp_path / name, NAMES)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "shares.json").write_text(json.dumps({}))
    with pytest.raises(LatteError, match="no such file") as caught:
        read_priors(tmp_path / "share.json", NAMES)
    assert "shares.json" in str(caught.value.hint)


def test_the_largest_shares_are_one_line() -> None:
    shares = torch.tensor([0.2, 0.7, 0.1])
    assert (
        shares_line(shares, NAMES, 2) == "estimated shares: dog 70.0 %, cat 20.0 % and 1 more class"
    )
    assert shares_line(shares, NAMES) == "estimated shares: dog 70.0 %, cat 20.0 %, sea lion 10.0 %"
