"""Views of an image: one small view, or the highest resolution."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from latte_llava.library import transformers
from latte_llava.loading import one_tile_config
from latte_llava.views import View, image_cost, limited, make_view
from llava_checkpoints import checkpoint
from llava_shapes import llava_next
from PIL import Image


def photo(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def view(family: str, resolution: Any) -> View:
    folder = checkpoint(family)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return make_view(processor, transformers.AutoConfig.from_pretrained(folder), resolution)


def seen(model_view: View, image: Image.Image) -> Any:
    text = model_view.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    )
    return model_view.processor(
        text=[text], images=[[model_view.shown(image)]], return_tensors="pt"
    )


def image_tokens(model_view: View, image: Image.Image) -> int:
    inputs = seen(model_view, image)
    return int((inputs["input_ids"] == model_view.processor.image_token_id).sum())


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (50, 50), (28, 28), (7, 3)])
@pytest.mark.parametrize("family", ["tiny-llava", "tiny-llava-next", "onevision"])
def test_a_thumbnail_has_the_tokens_of_one_tile(family: str, size: tuple[int, int]) -> None:
    assert image_tokens(view(family, "thumbnail"), photo(*size)) == (28 // 14) ** 2


def test_of_the_paper_s_model_a_thumbnail_has_576_tokens() -> None:
    shape = llava_next(side=336)
    model_view = make_view(shape.processor, shape.config, "thumbnail")
    assert image_tokens(model_view, photo(500, 375)) == (336 // 14) ** 2 == 576
    assert seen(model_view, photo(500, 375))["pixel_values"].shape == (1, 3, 336, 336)


@pytest.mark.parametrize("family", ["tiny-llava-next", "onevision"])
def test_all_tiles_have_more(family: str) -> None:
    assert image_tokens(view(family, "full"), photo(90, 30)) > 4
    assert image_tokens(view(family, "full"), photo(56, 56)) >= 4 + 16


@pytest.mark.parametrize("family", ["tiny-llava-next", "onevision"])
def test_a_thumbnail_is_what_the_tiled_model_sees_as_the_whole(family: str) -> None:
    """Pixels and features, compared with the first tile of the checkpoint's own model."""
    folder = checkpoint(family)
    small = view(family, "thumbnail")
    square = small.shown(photo(90, 30))
    thumbnail_pixels = seen(small, square)["pixel_values"]
    tiled = seen(view(family, "full"), square)
    torch.testing.assert_close(thumbnail_pixels[0], tiled["pixel_values"][0, 0])

    config = transformers.AutoConfig.from_pretrained(folder)
    tiled_model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    simple = transformers.LlavaForConditionalGeneration.from_pretrained(
        folder, config=one_tile_config(config)
    )
    with torch.inference_mode():
        tiled_features = tiled_model.model.get_image_features(
            tiled["pixel_values"],
            tiled["image_sizes"],
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            return_dict=True,
        ).pooler_output[0]
        thumbnail_features = simple.model.get_image_features(
            pixel_values=thumbnail_pixels,
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            return_dict=True,
        ).pooler_output[0]
    torch.testing.assert_close(thumbnail_features, tiled_features[:4], rtol=1e-4, atol=5e-5)


def test_a_thumbnail_shows_what_a_crop_would_cut_off() -> None:
    image = Image.new("RGB", (90, 30))
    image.paste((255, 255, 255), (0, 0, 20, 30))
    small, full = view("tiny-llava", "thumbnail"), view("tiny-llava", "full")
    assert seen(small, image)["pixel_values"].max() > 1
    assert seen(full, image)["pixel_values"].max() < 0


def test_models_of_any_size_get_few_pixels_of_the_same_shape() -> None:
    image = photo(1000, 500)
    small = limited(image)
    assert small.width * small.height <= 336 * 336
    assert small.width / small.height == pytest.approx(2, abs=0.02)
    assert limited(photo(30, 20)).size == (30, 20)
    assert limited(photo(4000, 1)).size[1] == 1
    assert view("qwen2-vl", "thumbnail").shown(image).size == small.size


def test_models_that_split_images_do_not_split_thumbnails() -> None:
    image = photo(100, 60)
    assert image_tokens(view("idefics3", "thumbnail"), image) == 4
    assert image_tokens(view("idefics3", "full"), image) > 4


def test_the_cost_of_an_image_follows_its_tiles() -> None:
    processor = view("tiny-llava-next", "full").processor
    assert image_cost(photo(28, 56), processor) == 28 * 56
    assert image_cost(photo(60, 60), processor) == 56 * 56
    assert image_cost(photo(100, 60), view("tiny-llava", "full").processor) == 28 * 28
    assert image_cost(photo(100, 60), view("qwen2-vl", "full").processor) == 6000


def test_the_full_view_is_the_checkpoint_s_own(tmp_path: Path) -> None:
    processor = transformers.AutoProcessor.from_pretrained(checkpoint("tiny-llava-next"))
    processor_settings = copy.deepcopy(processor.image_processor.to_dict())
    model_view = view("tiny-llava-next", "full")
    image = photo(90, 30)
    assert model_view.shown(image) is image
    assert model_view.processor.image_processor.to_dict() == processor_settings
