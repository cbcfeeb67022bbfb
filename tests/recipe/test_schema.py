"""The JSON Schema of recipes agrees with the validator about what is in a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from yaml import safe_load

from latte.cli.main import run_command_line
from latte.recipe.load import load_recipe
from latte.recipe.schema import recipe_schema
from latte.recipe.shipped import shipped_names, shipped_path
from latte.registry.registry import Registry, load_registry
from tests.helpers.recipes import TRAINING, builtin_plugin


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = recipe_schema(load_registry())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_schema_is_valid_without_a_guard_plugin() -> None:
    bare = Registry([builtin_plugin()])
    assert not bare.all("guard")
    schema = recipe_schema(bare)
    Draft202012Validator.check_schema(schema)
    bare_validator = Draft202012Validator(schema)
    assert bare_validator.is_valid({**GOOD, "guard": None})
    assert not bare_validator.is_valid({**GOOD, "guard": "evidence"})


def plain_text(text: str) -> Any:
    """Return a recipe as an editor reads it, with unexpanded variables."""
    return json.loads(json.dumps(safe_load(text)))


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_recipe_matches_the_schema(
    name: str, validator: Draft202012Validator
) -> None:
    path = shipped_path(name)
    assert path is not None
    errors = validator.iter_errors(plain_text(path.read_text()))
    assert not [error.message for error in errors if not is_part(name, error)]


def is_part(name: str, error: Any) -> bool:
    """Return True for a part, which may lack required keys."""
    return name.startswith("parts/") and error.validator == "required"


def test_a_resolved_recipe_matches_the_schema(validator: Draft202012Validator) -> None:
    for name in ("demo", "sun397", "reclip/eurosat", "five-types"):
        path = shipped_path(name)
        assert path is not None
        resolved = load_recipe(path, load_registry()).resolved
        assert validator.is_valid(json.loads(json.dumps(resolved))), name


GOOD = plain_text(TRAINING)


@pytest.mark.parametrize(
    "change",
    [
        {"sed": 1},
        {"seed": "1"},
        {"seed": -1},
        {"train": {"max_stps": 1}},
        {"train": {"optimizer": {"learnin_rate": 1.0}}},
        {"augmentation": {"crop_scale": [0.1]}},
        {"loss": "contrastiv"},
        {"loss": {"use": "masked-cross-entropy", "logit_scal": 50.0}},
        {"loss": {"use": "masked-cross-entropy", "logit_scale": "many"}},
        {"loss": {"us": "contrastive"}},
        {"loss": {"use": "contrastive", "normalization": "published"}},
        {"labels": "frozen"},
        {"labels": {"frozen": {"weight": 0.5}}},
        {"controls": {"a": {"labels": {"frozen": {"wight": 0.5}}}}},
        {"labels": [{"use": "frozen", "by": "phrases"}]},
        {"descriptions": [{"use": "group", "size": 1}]},
        {"describer": {"use": "phrases", "word": 12}},
        {"dataset": {"use": "sun397", "rot": "x"}},
        {"learners": []},
        {"learners": [{"nam": "a"}]},
        {"controls": {"a": {"seed": 1}}},
        {"controls": {"a/b": {}}},
        {"controls": {"a": {"labels": [{"use": "frosen"}]}}},
        {"extends": "nothing-of-that-name"},
        {"extends": ["demo", 3]},
        {"trainable": "everything"},
        {"backbone": None},
    ],
    ids=json.dumps,
)
def test_a_typo_violates_the_schema(
    change: dict[str, Any], validator: Draft202012Validator
) -> None:
    assert validator.is_valid(GOOD)
    assert not validator.is_valid({**GOOD, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"guard": None},
        {"describer": None, "descriptions": ["class"]},
        {"loss": {"use": "latte-reclip/masked-cross-entropy", "normalization": "published"}},
        {"descriptions": ["class", {"use": "image", "by": "phrases", "name": "second"}]},
        {"controls": {"a": None, "b": {"prototypes": {"momentum": 0.5}, "describer": None}}},
        {"controls": {"a": {"labels": {"frozen": {"weight": 0.5}}}}},
        {"extends": "demo", "descriptions": {"group": {"size": 8}, "image": {"prompt": "What?"}}},
        {"augmentation": None, "train": {"precision": "bf16"}},
        {"extends": ["demo", "../mine.yaml"]},
        {"dataset": {"use": "folder", "root": "x", "classes": ["a", "b"]}},
    ],
    ids=json.dumps,
)
def test_the_schema_accepts_what_the_validator_accepts(
    change: dict[str, Any], validator: Draft202012Validator
) -> None:
    validator.validate({**GOOD, **change})


def test_only_a_recipe_that_extends_another_may_omit_its_dataset(
    validator: Draft202012Validator,
) -> None:
    assert not validator.is_valid({"seed": 1})
    assert validator.is_valid({"extends": "demo", "seed": 1})
    assert validator.is_valid({"extends": "demo", "backbone": {"pretrained": "openai"}})


def test_the_schema_has_descriptions_and_defaults(registry: Registry) -> None:
    schema = recipe_schema(registry)
    assert "one seed" in schema["properties"]["seed"]["description"]
    assert schema["properties"]["seed"]["default"] == 0
    steps = schema["$defs"]["TrainSettings"]["properties"]["max_steps"]
    assert (steps["default"], "stop after" in steps["description"]) == (2000, True)


def test_an_ambiguous_name_is_only_allowed_in_full(registry: Registry) -> None:
    names = recipe_schema(registry)["$defs"]["loss"]["anyOf"][0]["enum"]
    assert "latte-clip/contrastive" in names
    assert "contrastive" not in names


def test_check_prints_the_schema_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == recipe_schema(load_registry())
    for arguments in (["check", "demo", "--schema"], ["check"]):
        assert run_command_line(arguments) == 2
        assert "latte check --schema" in capsys.readouterr().err
