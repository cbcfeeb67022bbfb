"""All built-in components pass the contract tests of their kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from latte_author.testing import (
    BackboneContract,
    ComponentContract,
    DatasetContract,
    DescriberContract,
    DescriptionTypeContract,
    GateContract,
    ImageAugmentationContract,
    LossContract,
    PrototypeAggregatorContract,
    PseudoLabelerContract,
    ReporterContract,
    TrainableContract,
)
from latte_author.testing.doubles import EchoDescriber
from latte_author.testing.fixtures import tiny_images
from latte_author.testing.tiny_runs import write_tiny_clip

from latte.api import Options
from latte.components import latte_components
from latte.interfaces import Component, DescribeRequest, NoOptions
from latte.toolkit.descriptions import with_template
from tests.helpers.method_doubles import (
    AgreementLabeler,
    TwoPrototypes,
)

pytestmark = pytest.mark.thorough

CLASSES = ["cat", "dog"]
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed")


class TestPhrases(DescriberContract):
    component = "phrases"
    changes: ClassVar[Mapping[str, Any]] = {"words": 12, "top": 1, "bank": "bank.txt"}

    def write_files(self, folder: Path) -> None:
        sections = ("objects", "materials", "colours", "textures", "scenes")
        text = "\n".join(f"[{name}]\n{name[:-1]} one\n{name[:-1]} two" for name in sections)
        (folder / "bank.txt").write_text(text)


class TestRandomCrops(ImageAugmentationContract):
    component = "random-crops"


class Flaky(EchoDescriber):
    """Describer whose first call fails, as that of a busy server does."""

    called = False

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        if not self.called:
            self.called = True
            raise ConnectionError("the server is busy")
        return super().describe(requests)


class TestATemporaryFailure(DescriberContract):
    def build(self) -> tuple[type[Component[Any]], Options]:
        return Flaky, NoOptions()


class TestClass(DescriptionTypeContract):
    component = "class"

    def build(self) -> tuple[type[Component[Any]], Options]:
        component, options = super().build()
        return component, with_template(options, "a photo of a {class}.")


class TestImage(DescriptionTypeContract):
    component = "image"


class TestImageWithLabel(DescriptionTypeContract):
    component = "image"
    options: ClassVar[Mapping[str, Any]] = {"prompt": "How does this {class} look?"}


class TestGroup(DescriptionTypeContract):
    component = "group"


class TestOracleGroup(DescriptionTypeContract):
    component = "group"
    options: ClassVar[Mapping[str, Any]] = {"size": 4, "correct": 4}


class TestRefusal(GateContract):
    component = "refusal"
    options: ClassVar[Mapping[str, Any]] = {"also": ["nothing to see"]}


class TestLength(GateContract):
    component = "length"


class TestRepetition(GateContract):
    component = "repetition"
    options: ClassVar[Mapping[str, Any]] = {"within": 0.1, "across": 0.05}


class TestFrozen(PseudoLabelerContract):
    component = "frozen"


class TestCurrent(PseudoLabelerContract):
    component = "current"
    options: ClassVar[Mapping[str, Any]] = {"weight": 0.5}


class TestAgreement(PseudoLabelerContract):
    kind = "labeler"

    def build(self) -> tuple[type[Component[Any]], Options]:
        return AgreementLabeler, NoOptions()


class TestTemplates(PrototypeAggregatorContract):
    component = "templates"


class TestTemplatesEveryStep(PrototypeAggregatorContract):
    component = "templates"
    options: ClassVar[Mapping[str, Any]] = {"refresh": "step"}


class TestMomentum(PrototypeAggregatorContract):
    component = "momentum"


class TestMomentumAsReleased(PrototypeAggregatorContract):
    component = "momentum"
    options: ClassVar[Mapping[str, Any]] = {"momentum": 0.5, "margins": "epoch_start"}


class TestReEstimated(PrototypeAggregatorContract):
    component = "re-estimated"


class TestReEstimatedFromTextsAlone(PrototypeAggregatorContract):
    component = "re-estimated"
    options: ClassVar[Mapping[str, Any]] = {"image_weight": 0.0, "mixer": "mean", "rounds": 3}


class TestCentroids(PrototypeAggregatorContract):
    component = "from-labeler"


class TestTwoPrototypes(PrototypeAggregatorContract):
    def build(self) -> tuple[type[Component[Any]], Options]:
        return TwoPrototypes, NoOptions()


class TestContrastive(LossContract):
    component = "contrastive"


class TestSigmoid(LossContract):
    component = "sigmoid"


class TestAll(TrainableContract):
    component = "all"


class TestVisualLayerNorms(TrainableContract):
    component = "visual_layer_norms"


class TestTextLayerNorms(TrainableContract):
    component = "text_layer_norms"


class TestProjections(TrainableContract):
    component = "projections"


class TestLastBlocks(TrainableContract):
    component = "last_blocks"
    options: ClassVar[Mapping[str, Any]] = {"blocks": 1}


@needs_peft
class TestLora(TrainableContract):
    component = "lora"
    options: ClassVar[Mapping[str, Any]] = {"rank": 2}


@needs_peft
class TestPrompts(TrainableContract):
    component = "prompts"


class TestFolder(DatasetContract):
    component = "folder"
    options: ClassVar[Mapping[str, Any]] = {
        "root": "photos",
        "classes": "folders",
        "evaluation": "labelled",
    }

    def write_files(self, folder: Path) -> None:
        for name in CLASSES:
            tiny_images(folder / "photos" / name)
            tiny_images(folder / "labelled" / name, 2)


class TestList(DatasetContract):
    component = "list"
    options: ClassVar[Mapping[str, Any]] = {
        "images": "train.csv",
        "classes": CLASSES,
        "evaluation": "test.jsonl",
    }

    def write_files(self, folder: Path) -> None:
        images = [f"photos/{image.id}" for image in tiny_images(folder / "photos")]
        train = [f"{path},{CLASSES[row % 2]}" for row, path in enumerate(images[:4])]
        (folder / "train.csv").write_text("\n".join(["path,class", *train[::-1]]) + "\n")
        test = [json.dumps({"path": path, "class": "dog"}) for path in images[4:]]
        (folder / "test.jsonl").write_text("\n".join(test))


class TestCoop(DatasetContract):
    component = "coop"
    options: ClassVar[Mapping[str, Any]] = {"split": "split.json", "root": "photos"}

    def write_files(self, folder: Path) -> None:
        ids = [image.id for image in tiny_images(folder / "photos")]
        rows = [[one, place % 2, CLASSES[place % 2]] for place, one in enumerate(ids)]
        split = {"train": rows[3::-1], "val": rows[4:5], "test": rows[5:]}
        (folder / "split.json").write_text(json.dumps(split))


class TestHtml(ReporterContract):
    component = "html"


class TestModelCard(ReporterContract):
    component = "model-card"


class TestOpenClip(BackboneContract):
    component = "open_clip"
    options: ClassVar[dict[str, Any]] = {"model": "local-dir:clip"}

    def write_files(self, folder: Path) -> None:
        if not (folder / "clip").exists():
            write_tiny_clip(folder / "clip")


def test_every_component_has_a_contract_test() -> None:
    tested = {
        (contract.kind, contract.component)
        for contract in globals().values()
        if isinstance(contract, type)
        and issubclass(contract, ComponentContract)
        and contract.__module__ == __name__
    }
    # Nothing trains with `none`, so its contract would test nothing.
    tested.add(("trainable", "none"))
    assert {(spec.kind, spec.name) for spec in latte_components()} <= tested
