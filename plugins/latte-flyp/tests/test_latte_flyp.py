"""FLYP's targets: one of the label's templates, drawn, with gradient; repeatable after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from latte_author.testing import PrototypeAggregatorContract
from latte_author.testing.fixtures import make_context, training_start, unit_rows
from latte_flyp.flyp import FlypOptions, FlypPrototypes
from torch import Tensor

from latte.api import LabelStream, LatteError

NAMES = ("photo", "blurry", "small")


class TestFlyp(PrototypeAggregatorContract):
    component = "flyp"


class TestFlypOfOneTemplate(PrototypeAggregatorContract):
    component = "flyp"
    options: ClassVar = {"templates": ("class",), "refresh": "epoch"}

    def test_a_recipe_without_descriptions_is_served_or_refused(self, tmp_path: Path) -> None:
        aggregator = self.started(tmp_path, training_start())
        with pytest.raises(LatteError, match="no description `class`"):
            aggregator.supervise(stream(4), {}, unit_rows(4))


def stream(size: int, name: str = "frozen") -> LabelStream:
    return LabelStream(name, torch.arange(size) % 4, torch.ones(size))


def encoded(size: int) -> dict[str, Tensor]:
    return {
        name: unit_rows(size, seed=40 + place).requires_grad_() for place, name in enumerate(NAMES)
    }


def started(folder: Path, seed: int = 0, **options: Any) -> FlypPrototypes:
    prototypes = FlypPrototypes(FlypOptions(**options), make_context(folder, seed))
    prototypes.start(training_start())
    return prototypes


def targets(prototypes: FlypPrototypes, texts: dict[str, Tensor], name: str = "frozen") -> Tensor:
    size = len(next(iter(texts.values())))
    target_rows = prototypes.supervise(stream(size, name), texts, unit_rows(size)).targets
    assert target_rows is not None
    return target_rows


def drawn(prototypes: FlypPrototypes, texts: dict[str, Tensor], name: str = "frozen") -> list[str]:
    """The template that each target is, found by comparing with all of them."""
    rows = targets(prototypes, texts, name)
    names = []
    for i, row in enumerate(rows):
        same = [label for label, text in texts.items() if torch.equal(text[i], row)]
        assert len(same) == 1, "a target must be exactly one template's feature"
        names.append(same[0])
    return names


def test_templates_are_drawn_about_equally_often(tmp_path: Path) -> None:
    names = drawn(started(tmp_path), encoded(600))
    assert {*names} == {*NAMES}
    assert all(150 < names.count(name) < 250 for name in NAMES)


def test_only_named_templates_are_drawn(tmp_path: Path) -> None:
    names = drawn(started(tmp_path, templates=("small", "photo")), encoded(60))
    assert {*names} == {"photo", "small"}


def test_each_step_stream_and_seed_draws_anew_and_equal_ones_alike(tmp_path: Path) -> None:
    texts = encoded(40)
    prototypes = started(tmp_path)
    names = drawn(prototypes, texts)
    assert names == drawn(started(tmp_path), texts)
    assert names != drawn(prototypes, texts, "current")
    assert names != drawn(started(tmp_path, seed=1), texts)
    prototypes.update([])
    assert names != drawn(prototypes, texts)


def test_the_draw_goes_on_after_a_stop(tmp_path: Path) -> None:
    texts = encoded(40)
    prototypes, resumed = started(tmp_path), started(tmp_path)
    for _ in range(3):
        prototypes.update([])
    resumed.load_state(prototypes.state())
    assert drawn(resumed, texts) == drawn(prototypes, texts)


def test_gradient_reaches_the_drawn_template_and_no_other(tmp_path: Path) -> None:
    texts = encoded(30)
    prototypes = started(tmp_path)
    names = drawn(prototypes, texts)
    targets(prototypes, texts).sum().backward()  # type: ignore[no-untyped-call]
    for name, text in texts.items():
        assert text.grad is not None
        reached = text.grad.abs().sum(dim=1) > 0
        assert reached.tolist() == [drawn_name == name for drawn_name in names]


def test_without_descriptions_the_dataset_s_template_is_the_target(tmp_path: Path) -> None:
    prototypes = started(tmp_path)
    fresh = unit_rows(4, seed=50).requires_grad_()
    prototypes.refresh_class_features(fresh)
    target_rows = prototypes.supervise(stream(6), {}, unit_rows(6)).targets
    assert target_rows is not None
    assert target_rows.requires_grad
    assert torch.equal(target_rows, fresh[stream(6).labels])
    assert not prototypes.classifier().weights.requires_grad


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="no gradient"):
        started(tmp_path, refresh="epoch").supervise(stream(4), {}, unit_rows(4))


def test_a_misspelt_template_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(LatteError) as error:
        targets(started(tmp_path, templates=("blury",)), encoded(4))
    assert 'Did you mean "blurry"' in str(error.value)
