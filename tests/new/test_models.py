"""The model that `latte new` and `latte adapt` propose without `--model`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from latte.backbone.names import licence_of
from latte.interfaces import Backbone, BackboneLoader, LatteError, NoOptions, Options
from latte.new import models
from latte.new.models import KNOWN, Machine, propose_model, refuse_backbone
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec, Plugin

BEST, FASTEST = KNOWN[0].name, KNOWN[-1].name
LAPTOP = Machine("cpu", "4 CPU cores, no GPU", 16.0, 4)
GPU = Machine("cuda", "a GPU", 12.0)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "cached_models", list)
    monkeypatch.setattr(models, "answers", lambda repository: True)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "cached_models", list)
    monkeypatch.setattr(models, "answers", lambda repository: False)


def proposed(images: int, machine: Machine, *, trains: bool = False) -> tuple[str, str]:
    return propose_model(images, machine, trains=trains)


def test_known_models_are_sorted_and_allow_commercial_use() -> None:
    assert [*KNOWN] == sorted(KNOWN, key=lambda model: -model.imagenet)
    assert [*KNOWN] == sorted(KNOWN, key=lambda model: -model.seconds)
    assert {licence_of(model.repository) for model in KNOWN} <= {"mit", "apache-2.0"}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("images", "machine", "trains", "expected"),
    [
        (1_000, LAPTOP, False, BEST),
        (100_000, LAPTOP, False, FASTEST),
        (10_000_000, LAPTOP, False, FASTEST),
        (100_000, GPU, False, BEST),
        (1_000, GPU, True, FASTEST),
    ],
)
def test_proposal_depends_on_machine_and_time(
    images: int, machine: Machine, trains: bool, expected: str
) -> None:
    name, reason = proposed(images, machine, trains=trains)
    assert name == expected
    for words in (name, "licence MIT"):
        assert words in reason


@pytest.mark.usefixtures("hub")
def test_reason_gives_the_time_on_a_cpu() -> None:
    assert "in about 2 min" in proposed(1_000, LAPTOP)[1]
    assert "min" not in proposed(1_000, GPU)[1]


@pytest.mark.usefixtures("no_hub")
def test_offline_a_cached_model_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "cached_models", lambda: ["RN50:openai"])
    name, reason = proposed(1_000, LAPTOP)
    assert name == "RN50:openai"
    assert "the Hugging Face hub does not answer" in reason
    monkeypatch.setattr(models, "cached_models", lambda: ["RN50:openai", FASTEST])
    assert proposed(1_000, LAPTOP)[0] == FASTEST


@pytest.mark.usefixtures("no_hub")
def test_offline_without_a_cached_model_the_best_one_is_proposed() -> None:
    assert proposed(1_000, LAPTOP)[0] == BEST


def test_cached_proposal_does_not_ask_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(repository: str) -> bool:
        raise AssertionError(f"asked for {repository}")

    monkeypatch.setattr(models, "answers", fail)
    monkeypatch.setattr(models, "cached_models", lambda: [BEST])
    assert proposed(1_000, LAPTOP)[0] == BEST


class ViewsOptions(Options):
    checkpoint: str = Field(description="file of the weights")
    width: int = Field(default=8, description="width of the features")


class Mine(BackboneLoader[NoOptions]):
    def load(self) -> Backbone:
        raise NotImplementedError

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> Backbone:
        raise NotImplementedError


class Views(Mine):
    options_type = ViewsOptions


@pytest.fixture
def registry() -> Registry:
    """Return a registry of one plugin with the backbones `mine`, `views` and `RN50`."""
    specs = [
        ComponentSpec("backbone", name, f"{__name__}:{target}", "a backbone")
        for name, target in (("mine", "Mine"), ("views", "Views"), ("RN50", "Mine"))
    ]
    return Registry([Plugin("latte_mine", "latte-mine", "0.1.0", "ok", specs=tuple(specs))])


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("mine", "latte run adapt --set backbone.use=mine"),
        ("latte-mine/mine", "latte run adapt --set backbone.use=latte-mine/mine"),
        (
            "views",
            "latte run adapt --set backbone.use=views --set backbone.checkpoint=CHECKPOINT",
        ),
    ],
)
def test_a_backbone_in_place_of_a_model_is_refused_with_the_command(
    name: str, command: str, registry: Registry
) -> None:
    with pytest.raises(LatteError) as refused:
        refuse_backbone(name, registry)
    assert refused.value.where == "--model"
    assert (refused.value.hint or "").endswith(f"IMAGES=DIR CLASSES=FILE {command}")


@pytest.mark.parametrize("name", ["RN50", "ViT-B-32:openai", "plugin:mine", "nothing"])
def test_models_are_not_taken_for_backbones(name: str, registry: Registry) -> None:
    refuse_backbone(name, registry)
