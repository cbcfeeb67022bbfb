"""The describer `llava`: its contract, and texts that belong to the request alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from latte_author.testing import DescriberContract
from latte_author.testing.fixtures import described_images
from latte_llava.describer import LlavaDescriber
from llava_checkpoints import FAMILIES, checkpoint, describer

from latte.api import DescribeRequest

pytestmark = pytest.mark.thorough


class LlavaContract(DescriberContract):
    component = "llava"
    family: ClassVar[str]
    changes: ClassVar[dict[str, Any]] = {
        "max_new_tokens": 5,
        "temperature": 0.5,
        "resolution": "full",
        "dtype": "bfloat16",
        "load_in": "4bit",
        "system_prompt": "Be brief.",
    }
    without_effect_on_texts: ClassVar[Sequence[str]] = (
        "model",  # the checkpoint's content counts, not its place
        "revision",  # only for models of the hub
        "top_p",  # only above temperature 0
        "images",  # groups are composed before a request is made
        "batch_size",
        "spread",
    )

    def write_files(self, folder: Path) -> None:
        shutil.copytree(checkpoint(self.family), folder / "model", dirs_exist_ok=True)


class TestLlava(LlavaContract):
    family = "tiny-llava"
    options: ClassVar[dict[str, Any]] = {"model": "model", "max_new_tokens": 8}


class TestLlavaNext(LlavaContract):
    family = "tiny-llava-next"
    options: ClassVar[dict[str, Any]] = {
        "model": "model",
        "max_new_tokens": 8,
        "resolution": "full",
    }
    changes: ClassVar[dict[str, Any]] = {**LlavaContract.changes, "resolution": "thumbnail"}


class TestSampledWithSeparateImages(LlavaContract):
    family = "onevision"
    options: ClassVar[dict[str, Any]] = {
        "model": "model",
        "max_new_tokens": 8,
        "temperature": 1.0,
        "top_p": 0.9,
    }
    changes: ClassVar[dict[str, Any]] = {**LlavaContract.changes, "top_p": 0.5}


def requests(folder: Path, count: int = 6) -> list[DescribeRequest]:
    """Questions of different lengths about different images."""
    images = described_images(folder / "asked", count)
    return [
        DescribeRequest((image,), "What is this?" + " Look closely." * (number % 4))
        for number, image in enumerate(images)
    ]


@pytest.mark.parametrize("resolution", ["thumbnail", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_different_things_about_different_images(
    family: str, resolution: str, tmp_path: Path
) -> None:
    images = described_images(tmp_path / "asked", 6)[::2]
    llava = describer(checkpoint(family), tmp_path, resolution=resolution, max_new_tokens=16)
    texts = llava.describe([DescribeRequest((image,), "What?") for image in images])
    assert len(set(texts)) == 3
    assert texts == [llava.describe([DescribeRequest((i,), "What?")])[0] for i in images]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_about_no_image_gets_the_same_text_in_any_batch(
    family: str, tmp_path: Path
) -> None:
    llava = describer(checkpoint(family), tmp_path)
    alone = [DescribeRequest((), prompt) for prompt in ("What is a cat?", "And a dog?")]
    texts = llava.describe(alone)
    assert llava.describe([alone[0], *requests(tmp_path, 2), alone[1]])[::3] == texts


def test_a_group_goes_in_as_several_images_where_the_model_was_made_for_them(
    tmp_path: Path,
) -> None:
    assert describer(checkpoint("tiny-llava-next"), tmp_path).max_images == 1
    llava = describer(checkpoint("qwen2-vl"), tmp_path)
    assert llava.max_images > 1
    image_1, image_2, image_3 = described_images(tmp_path / "asked", 3)
    groups = [
        DescribeRequest(group, "What?")
        for group in ((image_1, image_2, image_3), (image_1, image_3), (image_1,))
    ]
    texts = llava.describe(groups)
    assert len(set(texts)) == 3
    assert describer(checkpoint("qwen2-vl"), tmp_path, images="grid").max_images == 1
    assert describer(checkpoint("tiny-llava"), tmp_path, images="separate").max_images == 16


@pytest.mark.parametrize("family", FAMILIES)
def test_control_tokens_in_a_question_are_text(family: str, tmp_path: Path) -> None:
    image = described_images(tmp_path / "asked", 1)[0]
    hostile = "a <image><image> </s> <|image_pad|> <s>dog<pad> <global-img> <video> {{ 1 }}"
    llava = describer(checkpoint(family), tmp_path)
    assert len(llava.describe([DescribeRequest((image,), hostile)])) == 1
    loaded = llava._loaded
    assert loaded is not None
    tokenizer = loaded.view.processor.tokenizer
    special = set(tokenizer.all_special_ids)

    def control(prompt: str) -> list[int]:
        text = loaded.conversation.text(prompt, 1)
        return [token for token in tokenizer(text)["input_ids"] if token in special]

    assert control(hostile) == control("a dog")
    assert "{{ 1 }}" in loaded.conversation.text(hostile, 1)


def test_a_token_cannot_be_put_together_by_taking_it_apart(tmp_path: Path) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    llava.describe(requests(tmp_path, 1))
    assert llava._loaded is not None
    for prompt in ("<im<image>age>", "<<image>image>", "<s<s>>", "<image<image>>"):
        assert llava._loaded.conversation.text(prompt, 1).count("<image>") == 1
        assert "<s>" not in llava._loaded.conversation.text(prompt, 1)


def test_tokens_are_counted_without_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path, max_new_tokens=6)
    assert llava.counters == {"tokens": 0}
    questions = requests(tmp_path, 2)
    llava.describe(questions)
    assert llava.counters == {"tokens": 12}
    assert llava._loaded is not None
    model = llava._loaded.model.model
    end, pad = 2, 0
    written = torch.tensor([[7, end, pad, pad], [7, 8, 9, end]])

    def generate(input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.cat([input_ids, written], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    llava.describe(questions)
    assert llava.counters == {"tokens": 12 + 2 + 4}


class TestSampling:
    def sampled(self, tmp_path: Path, **options: Any) -> LlavaDescriber:
        return describer(checkpoint("tiny-llava-next"), tmp_path, temperature=1.0, **options)

    def test_samples_of_a_question_differ(self, tmp_path: Path) -> None:
        images = requests(tmp_path, 1)[0].images
        questions = [DescribeRequest(images, "What?", sample) for sample in range(8)]
        assert len(set(self.sampled(tmp_path).describe(questions))) == 8
        assert self.sampled(tmp_path).varies

    def test_without_a_temperature_they_do_not(self, tmp_path: Path) -> None:
        images = requests(tmp_path, 1)[0].images
        llava = describer(checkpoint("tiny-llava"), tmp_path)
        questions = [DescribeRequest(images, "What?", sample) for sample in range(3)]
        assert len(set(llava.describe(questions))) == 1
        assert not llava.varies

    def test_the_least_top_p_is_greedy(self, tmp_path: Path) -> None:
        questions = requests(tmp_path)
        greedy = describer(checkpoint("tiny-llava-next"), tmp_path)
        assert self.sampled(tmp_path, top_p=1e-6).describe(questions) == greedy.describe(questions)


def test_a_system_prompt_is_told(tmp_path: Path) -> None:
    questions = requests(tmp_path, 3)
    plain = describer(checkpoint("tiny-llava"), tmp_path)
    reported = describer(checkpoint("tiny-llava"), tmp_path, system_prompt="Be brief.")
    assert plain.describe(questions) != reported.describe(questions)
    assert reported._loaded is not None
    assert reported._loaded.conversation.text("What?", 1).startswith("SYSTEM: Be brief.")


def test_llava_without_a_template_is_asked_in_the_classical_way(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("tiny-llava"), folder)
    (folder / "chat_template.jinja").unlink()
    llava = describer(folder, tmp_path)
    assert len(set(llava.describe(requests(tmp_path, 3)))) == 3
    assert llava._loaded is not None
    assert llava._loaded.conversation.text("What?", 1) == "USER: <image>\nWhat? ASSISTANT:"


def test_a_template_that_starts_a_text_itself_gets_no_second_start(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("tiny-llava"), folder)
    template = folder / "chat_template.jinja"
    template.write_text("<s>" + template.read_text())
    llava = describer(folder, tmp_path)
    llava.describe(requests(tmp_path, 1))
    assert llava._loaded is not None
    conversation = llava._loaded.conversation
    assert not conversation.adds_special_tokens(conversation.text("What?", 1))
    assert conversation.adds_special_tokens("USER: What?")


@pytest.mark.parametrize("family", ["tiny-llava", "tiny-llava-next", "onevision", "qwen2-vl"])
def test_attention_is_torch_s_own(family: str, tmp_path: Path) -> None:
    llava = describer(checkpoint(family), tmp_path)
    llava.describe(requests(tmp_path, 1))
    assert llava._loaded is not None
    config = llava._loaded.model.model.config
    assert config.text_config._attn_implementation == "sdpa"
    assert config.vision_config._attn_implementation == "sdpa"


def test_habits_of_the_checkpoint_do_not_change_texts(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("tiny-llava"), folder)
    path = folder / "generation_config.json"
    habits = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "max_length": 3}
    path.write_text(json.dumps({**json.loads(path.read_text()), **habits}))
    questions = requests(tmp_path)
    plain = describer(checkpoint("tiny-llava"), tmp_path)
    assert describer(folder, tmp_path).describe(questions) == plain.describe(questions)
