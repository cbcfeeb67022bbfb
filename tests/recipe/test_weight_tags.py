"""A weight tag that is a variable's default is dropped for models with their own weights."""

from __future__ import annotations

import pytest

from tests.helpers.recipes import MINIMAL, Load

RECIPE = MINIMAL.replace(
    "{model: ViT-B-32}", '{model: "${MODEL:-ViT-B-32}", pretrained: "${TAG:-laion2b_s34b_b79k}"}'
)
BRINGS_WEIGHTS = ["local-dir:/mine", "hf-hub:someone/clip"]


def test_the_default_tag_is_that_of_a_model_by_name(load: Load) -> None:
    assert load(RECIPE).backbone.options.pretrained == "laion2b_s34b_b79k"
    assert load(RECIPE, MODEL="ViT-L-14").backbone.options.pretrained == "laion2b_s34b_b79k"


@pytest.mark.parametrize("model", BRINGS_WEIGHTS)
def test_the_default_tag_is_left_out_for_a_model_with_weights(load: Load, model: str) -> None:
    recipe = load(RECIPE, MODEL=model)
    assert recipe.backbone.options.pretrained is None
    assert recipe.resolved["backbone"] == {"use": "open_clip", "model": model, "pretrained": None}
    assert load(RECIPE, f"backbone.model={model}").backbone.options.pretrained is None


@pytest.mark.parametrize("model", BRINGS_WEIGHTS)
def test_an_explicit_tag_for_a_model_with_weights_is_refused(load: Load, model: str) -> None:
    assert load(RECIPE, MODEL=model, TAG="openai").backbone.options.pretrained == "openai"
    written = load(RECIPE, "backbone.pretrained=openai", MODEL=model)
    assert written.backbone.options.pretrained == "openai"
