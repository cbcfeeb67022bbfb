"""Model cards: content, and names that must not act as YAML or Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from latte.components.reporters import ModelCardReporter
from latte.interfaces import Calibration, Interval, NoOptions, Verdict
from latte.interfaces.record import EncoderFacts
from latte.io.redaction import one_line
from latte.report.card import model_card
from latte.report.markdown import escaped, quoted
from tests.helpers.describe_doubles import context
from tests.helpers.report_examples import ADAPTED, ZERO_SHOT, changed, run_model, run_results
from tests.helpers.snapshots import assert_snapshot


def header(text: str) -> dict[str, object]:
    assert text.startswith("---\n")
    fields = yaml.safe_load(text.split("\n---\n", 1)[0])
    assert isinstance(fields, dict)
    return fields


def test_the_card_is_written_beside_the_model(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    files = ModelCardReporter(NoOptions(), context(tmp_path)).report(results)
    assert files == [results.folder / "models/adapted/model" / "README.md"]
    assert files[0].read_text(encoding="utf-8") == model_card(results)


@pytest.mark.parametrize(
    "backbone",
    [
        {"model": "ViT-B-32", "pretrained": "weights.pt"},
        {"model": "local-dir:clip", "pretrained": None},
        {"model": "plugin:tiny"},
        None,
    ],
)
def test_a_model_that_is_on_no_hub_has_no_base_model(backbone: object, tmp_path: Path) -> None:
    fields = header(model_card(run_results(tmp_path, recipe={"backbone": backbone})))
    assert "base_model" not in fields
    assert fields["license"] == "other"


def test_weights_by_tag_have_their_repository_and_licence(tmp_path: Path) -> None:
    recipe = {"backbone": {"model": "ViT-B/32", "pretrained": "laion2b_s34b_b79k"}}
    text = model_card(run_results(tmp_path, recipe=recipe))
    assert header(text)["base_model"] == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert header(text)["license"] == "mit"
    assert "license_name" not in header(text)
    assert "published under the licence `mit`" in text


@pytest.mark.parametrize(("strength", "is_needed"), [(0.0, False), (0.5, True), (1.0, True)])
def test_weights_of_an_encoder_are_needed_unless_zero_shot_was_kept(
    tmp_path: Path, strength: float, is_needed: bool
) -> None:
    encoder = EncoderFacts(
        name="dinov2", model="acme/eyes", licence="mit", parameters=1, bytes=4, classifies=True
    )
    verdict = Verdict(strength, "reason")
    text = model_card(changed(run_results(tmp_path), encoders=(encoder,), verdict=verdict))
    assert ("needs the weights of acme/eyes (licence `mit`)" in text) == is_needed
    assert ("the CLIP and the encoder of this model" in text) == is_needed


def plugin_card(tmp_path: Path, backbone: dict[str, object]) -> str:
    environment = {"plugins": {"latte-clip": "0.1.0", "latte-mine": "2.3.4"}}
    results = changed(run_results(tmp_path), recipe={"backbone": backbone}, environment=environment)
    return model_card(results)


def test_a_plugin_backbone_is_named_with_the_package_that_loads_it(tmp_path: Path) -> None:
    text = plugin_card(tmp_path, {"use": "latte-mine/mine", "width": 32, "revision": None})
    assert header(text)["library_name"] == "latte"
    assert header(text)["tags"] == ["clip", "mine", "latte"]
    assert "- Starting model: latte-mine/mine (width 32)\n" in text
    assert "The backbone mine of the package latte-mine 2.3.4 saved this model" in text
    assert "\npip install latte-clip latte-mine\n" in text
    assert "latte.load(" in text
    assert "For transformers (if the backbone supports the export)" in text
    assert "open_clip" not in text


def test_options_of_a_plugin_backbone_are_not_read_as_names_of_open_clip(tmp_path: Path) -> None:
    backbone = {"use": "latte-mine/mine", "model": "ViT-B/32", "pretrained": "laion2b_s34b_b79k"}
    text = plugin_card(tmp_path, backbone)
    assert "base_model" not in header(text)
    assert header(text)["license"] == "other"
    assert "latte does not know the licence" in text


def test_a_hostile_backbone_name_is_no_markup(tmp_path: Path) -> None:
    name = "x`</code>\n```\n# A heading\n[a](javascript:alert(1))/y]: {\n\"'"
    text = plugin_card(tmp_path, {"use": name})
    assert header(text)["library_name"] == "latte"
    assert "\n# A heading" not in text
    fences = [line for line in text.splitlines() if line.startswith("```")]
    assert len(fences) == 6, "the name closes no block of code"
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "[a](" not in outside


def test_calibration_of_a_posterior_is_described(tmp_path: Path) -> None:
    calibration = Calibration(10.0, 25.0, 0.57, 1000)
    assert "posterior" not in model_card(run_results(tmp_path, calibration=calibration))
    card = model_card(run_results(tmp_path, calibration=replace(calibration, own_exponent=0.2506)))
    assert "raised to the power 0.251" in card


def test_calibration_is_described_with_its_error(tmp_path: Path) -> None:
    assert "overconfident" in model_card(run_results(tmp_path))
    calibration = Calibration(10.0, 25.0, 0.57, 1000)
    unmeasured_card = model_card(run_results(tmp_path, calibration=calibration))
    assert "(temperature 2.50)" in unmeasured_card
    assert "57 %" in unmeasured_card
    assert "was not measured" in unmeasured_card
    measured_card = model_card(
        run_results(tmp_path, calibration=replace(calibration, error=0.1, uncalibrated_error=0.32))
    )
    assert "is 0.100, and 0.320 with the model's own scale" in measured_card


def test_snapshot_of_the_card(tmp_path: Path) -> None:
    assert_snapshot("card.txt", model_card(run_results(tmp_path)))


def test_without_an_evaluation_the_card_says_so(tmp_path: Path) -> None:
    text = model_card(run_results(tmp_path, models=()))
    assert "The accuracy is unknown" in text
    assert "| adapted" not in text


def test_a_model_that_was_not_trained_is_not_called_adapted(tmp_path: Path) -> None:
    assert "not trained" in model_card(run_results(tmp_path, metrics=()))


def test_a_gap_in_the_evaluation_is_a_limit(tmp_path: Path) -> None:
    gap = run_model("adapted", (1, 0, 1), Interval(0.1, 0.0, 0.2), images=(2, 0, 2))
    text = model_card(run_results(tmp_path, models=(ZERO_SHOT, gap)))
    assert "Classes without a single evaluation image: 1." in text


def test_an_oracle_is_marked_first_and_not_called_unlabelled(tmp_path: Path) -> None:
    recipe = {**run_results(tmp_path).record.recipe, "oracle": True}
    body = model_card(run_results(tmp_path, recipe=recipe)).split("\n---\n", 1)[1]
    assert body.lstrip().splitlines()[2] == (
        "**Oracle: group descriptions used ground-truth labels of the training images; "
        "not an unsupervised result.**"
    )
    assert "without labels" not in body
    assert "texts about the images, in groups that were formed by ground-truth labels." in body
    assert "Oracle" not in model_card(run_results(tmp_path))


HOSTILE = (
    "---",
    "# title",
    "- item",
    "3. item",
    "a | b",
    "<script>alert(1)</script>",
    "[text](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "https://example.org and www.example.org",
    "```\nbreak out\n```",
    '": *anchor\n--- !!python/object',
    "\u2028\x00\ud800\ufeff",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_change_neither_header_nor_structure(text: str, tmp_path: Path) -> None:
    calm = model_card(run_results(tmp_path))
    hostile = model_card(
        changed(
            run_results(tmp_path),
            name=text,
            class_names=(text, "red fox", "barn owl"),
            models=(ZERO_SHOT, ADAPTED, run_model(text, (1, 1, 1), Interval(0, -1, 1))),
        )
    )
    assert header(hostile)["model_name"] == one_line(text)
    body = hostile.split("\n---\n", 1)[1]
    assert skeleton(body) == skeleton(calm.split("\n---\n", 1)[1])
    assert hostile.encode("utf-8")
    assert not HARM.search(body)


HARM = re.compile(r"<script|(?<!\\)\]\(|(?<!\\)!\[|https?://|www\.")
"""Markup that a viewer would act on."""


def skeleton(text: str) -> list[str]:
    """Return how each line starts for Markdown, and its number of cells."""
    marks = ("---", "# ", "## ", "- ", "```", "0. ", "1. ", "2. ")
    return [
        next((mark for mark in marks if line.startswith(mark)), "")
        + "|" * line.replace("\\|", "").count("|")
        for line in text.splitlines()
    ]


def test_a_decimal_is_no_item_of_a_list() -> None:
    assert escaped("8.0 s") == "8.0 s"
    assert escaped("8. s") == "8\\. s"


@given(st.text())
def test_a_quoted_text_is_read_back_as_text(text: str) -> None:
    assert yaml.safe_load(quoted(text)) == one_line(text)


@given(st.text())
def test_an_escaped_text_stays_on_its_line_and_holds_no_tag(text: str) -> None:
    safe = escaped(text)
    assert len(safe.splitlines()) == 1
    assert "<" not in safe
    assert not safe.startswith(("-", "+", "#", "=", ">", "*", "`"))
