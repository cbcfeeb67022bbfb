"""The shipped LMM loads without a network and describes the shipped images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from latte_tiny import PACKAGE, lmm_folder
from PIL import Image

pytestmark = pytest.mark.thorough

PROMPT = "Describe the object in the photo concisely, less than 20 words."
GROUP_PROMPT = (
    "Describe which visual attributes the objects in all the photos share, concisely, "
    "less than 20 words."
)
MEGABYTE = 1_000_000


class Lmm:
    """The folder, opened as any user of transformers opens one."""

    def __init__(self) -> None:
        transformers = pytest.importorskip("transformers", reason="the LMM runs on transformers")
        pytest.importorskip("timm", reason="the LMM's image tower is timm's")
        folder = lmm_folder()
        self.processor: Any = transformers.AutoProcessor.from_pretrained(
            folder, local_files_only=True
        )
        self.model: Any = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True
        ).eval()

    def ask(self, prompt: str, images: list[list[Image.Image]]) -> list[str]:
        """One answer for each list of images."""
        texts = [self._question(prompt, len(of_one)) for of_one in images]
        inputs = self.processor(images=images, text=texts, return_tensors="pt", padding=True)
        answers = self.model.generate(**inputs, do_sample=False, max_new_tokens=77)
        new_tokens = answers[:, inputs["input_ids"].shape[1] :]
        return list(self.processor.batch_decode(new_tokens, skip_special_tokens=True))

    def _question(self, prompt: str, images: int) -> str:
        content = [{"type": "image"}] * images + [{"type": "text", "text": prompt}]
        return str(
            self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        )


@pytest.fixture(scope="module")
def lmm() -> Lmm:
    return Lmm()


@pytest.fixture(scope="module")
def images() -> list[list[Image.Image]]:
    paths = sorted((PACKAGE / "images" / "test").glob("*.jpg"))[:: 600 // 8][:8]
    return [[Image.open(path).convert("RGB")] for path in paths]


def files() -> list[Path]:
    return [path for path in lmm_folder().rglob("*") if path.is_file()]


def test_the_lmm_takes_less_than_25_megabytes() -> None:
    assert 0 < sum(path.stat().st_size for path in files()) < 25 * MEGABYTE


def test_the_lmm_holds_neither_pickles_nor_code() -> None:
    assert {path.suffix for path in files()} == {".json", ".jinja", ".safetensors", ".md"}


def test_the_lmm_is_computed_in_float32_though_it_is_stored_in_float16(lmm: Lmm) -> None:
    assert {str(weight.dtype) for weight in lmm.model.parameters()} == {"torch.float32"}


def test_the_lmm_describes_each_image_in_a_sentence_of_its_own(
    lmm: Lmm, images: list[list[Image.Image]]
) -> None:
    sentences = lmm.ask(PROMPT, images)
    assert len(set(sentences)) == len(images)
    for sentence in sentences:
        assert sentence.strip().endswith(".")
        assert 3 <= len(sentence.split()) < 25


def test_the_lmm_names_most_things_that_its_image_tower_learned(lmm: Lmm) -> None:
    metadata = pytest.importorskip("open_clip.zero_shot_metadata")
    imagenet_names = {name.lower() for name in metadata.IMAGENET_CLASSNAMES}
    split = json.loads((PACKAGE / "images" / "split.json").read_text(encoding="utf-8"))
    photos = {name.replace("_", " "): path for path, _, name in split["train"]}
    shown = {name: path for name, path in photos.items() if name in imagenet_names}
    assert len(shown) > 20
    opened = [[Image.open(PACKAGE / "images" / path).convert("RGB")] for path in shown.values()]
    sentences = lmm.ask(PROMPT, opened)
    is_named = [name in sentence for name, sentence in zip(shown, sentences, strict=True)]
    assert sum(is_named) > 0.5 * len(is_named)


def test_the_lmm_says_the_same_of_an_image_alone_and_in_a_batch(
    lmm: Lmm, images: list[list[Image.Image]]
) -> None:
    assert lmm.ask(PROMPT, images)[:2] == [
        lmm.ask(PROMPT, [image_list])[0] for image_list in images[:2]
    ]


def test_the_lmm_answers_other_questions_otherwise(
    lmm: Lmm, images: list[list[Image.Image]]
) -> None:
    of_object, of_scene = (
        lmm.ask(prompt, images[:4]) for prompt in (PROMPT, "Describe the scene in the photo.")
    )
    assert of_object != of_scene


def test_the_lmm_speaks_of_all_photos_when_it_is_asked_about_several(
    lmm: Lmm, images: list[list[Image.Image]]
) -> None:
    photos = [image for (image,) in images[:4]]
    (answer,) = lmm.ask(GROUP_PROMPT, [photos])
    assert "all photos" in answer.lower()
