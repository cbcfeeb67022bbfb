"""Backbones of transformers keep the contract, and have the features of the library itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest
import torch
from huggingface_hub.errors import GatedRepoError
from latte_author.testing import BackboneContract
from latte_author.testing.fixtures import make_context
from latte_transformers.backbone import TransformersBackbone
from latte_transformers.loader import TransformersLoader, TransformersOptions
from PIL import Image
from torch.nn.functional import normalize
from transformers_checkpoints import (
    SIDE,
    transformers,
    write_clip,
    write_metaclip_2,
    write_siglip,
    write_siglip_like,
)

from latte.api import LatteError

pytestmark = pytest.mark.thorough

Write = Callable[[Path], None]
TEXTS = ["a photo of the red cat.", "", "a dog", "the small green house beside a river . . . . . ."]


class TransformersContract(BackboneContract):
    component = "transformers"
    options: ClassVar[dict[str, Any]] = {"model": "./model"}

    def write_model(self, folder: Path) -> None:
        raise NotImplementedError

    def write_files(self, folder: Path) -> None:
        if not (folder / "model").exists():
            self.write_model(folder / "model")


class TestClip(TransformersContract):
    def write_model(self, folder: Path) -> None:
        write_clip(folder)


class TestSiglip(TransformersContract):
    def write_model(self, folder: Path) -> None:
        write_siglip(folder)


def load(folder: Path, model: str = "./model") -> TransformersBackbone:
    loader = TransformersLoader(TransformersOptions(model=model), make_context(folder))
    loader.check()
    return loader.load()


@pytest.mark.parametrize("write", [write_clip, write_metaclip_2, write_siglip])
def test_features_are_those_of_the_library(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "model")
    backbone = load(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path / "model").eval()
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model", backend="pil")
    image = Image.effect_noise((SIDE, SIDE), 80).convert("RGB")
    inputs = processor(
        text=TEXTS, images=image, padding="max_length", truncation=True, return_tensors="pt"
    )
    pixels = inputs.pop("pixel_values")
    with torch.no_grad():
        images = normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=1)
        texts = normalize(model.get_text_features(**inputs).pooler_output, dim=1)
        assert torch.allclose(backbone.encode_images(pixels), images, atol=1e-5)
        assert torch.allclose(backbone.encode_texts(TEXTS), texts, atol=1e-5)
        assert torch.allclose(
            backbone.image_tower()(pixels),
            backbone.model.get_image_features(pixel_values=pixels).pooler_output,
        )
    assert backbone.logit_scale.item() == pytest.approx(model.logit_scale.exp().item())


def test_sigmoid_models_keep_scale_and_bias(tmp_path: Path) -> None:
    write_siglip(tmp_path / "model")
    backbone = load(tmp_path)
    backbone.train_only("all")
    backbone.clamp_logit_scale()
    assert backbone.logit_scale.item() == pytest.approx(117.919, rel=1e-4)
    backbone.save(tmp_path / "saved")
    model = transformers.SiglipModel.from_pretrained(tmp_path / "saved")
    assert model.logit_bias.item() == pytest.approx(-12.9)
    assert model.logit_scale.exp().item() == pytest.approx(117.919, rel=1e-4)


def test_sigmoid_models_ignore_case_also_when_saved(tmp_path: Path) -> None:
    write_siglip(tmp_path / "model")
    written = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert written("A Red cat").input_ids != written("a red cat").input_ids
    backbone = load(tmp_path)
    backbone.save(tmp_path / "saved")
    for model in (backbone, load(tmp_path, "./saved")):
        upper, lower = model.encode_texts(["A Red CAT", "a red cat"])
        assert torch.equal(upper, lower)
    saved = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert saved("A Red cat").input_ids == saved("a red cat").input_ids


def test_half_precision_weights_are_loaded_in_fp32(tmp_path: Path) -> None:
    write_clip(tmp_path / "model")
    model = transformers.CLIPModel.from_pretrained(tmp_path / "model").half()
    model.save_pretrained(tmp_path / "model")
    backbone = load(tmp_path)
    assert {weight.dtype for weight in backbone.state().values() if weight.is_floating_point()} == {
        torch.float32
    }


@pytest.mark.parametrize(
    ("write", "words"),
    [(write_clip, "b c"), (write_metaclip_2, "dog cat"), (write_siglip, "dog cat")],
)
def test_texts_whose_last_word_is_cut_are_counted(tmp_path: Path, write: Write, words: str) -> None:
    write(tmp_path / "model")
    backbone = load(tmp_path)
    texts = [[f"{'a ' * count}{word}" for count in range(20)] for word in words.split()]
    features = [backbone.encode_texts(sentences) for sentences in texts]
    same = sum(
        torch.equal(feature, other_feature)
        for feature, other_feature in zip(*features, strict=True)
    )
    assert 0 < same == backbone.count_cut(texts[0])
    assert backbone.count_cut([]) == 0


def test_no_kernel_of_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    write_clip(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    kernel_setting = '"attn_implementation": "own/kernel", "_attn_implementation": "own/kernel",'
    text = config.read_text().replace(
        '"text_config": {', f'{kernel_setting} "text_config": {{ {kernel_setting}'
    )
    config.write_text(text)
    loaded = load(tmp_path).model.config
    assert loaded._attn_implementation == loaded.text_config._attn_implementation == "sdpa"


def no_text_tower(folder: Path) -> None:
    write_clip(folder)
    config = transformers.CLIPVisionConfig.from_pretrained(folder)
    transformers.CLIPVisionModel(config).save_pretrained(folder)


def no_processor(folder: Path) -> None:
    write_clip(folder)
    (folder / "processor_config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    write_clip(folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()


def other_widths(folder: Path) -> None:
    write_siglip_like(folder, {"projection_size": 24})


def other_architecture(folder: Path) -> None:
    write_clip(folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"projection_dim": 12', '"projection_dim": 8'))


def half_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_clip(folder)
    path = folder / "model.safetensors"
    weights = {k: v for k, v in load_file(path).items() if not k.startswith("text_model")}
    save_file(weights, path, metadata={"format": "pt"})


def absurd_layers(folder: Path) -> None:
    write_clip(folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('hidden_layers": 2', 'hidden_layers": 2000', 1))


def only_pickled(folder: Path) -> None:
    write_clip(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def quantised(folder: Path) -> None:
    write_clip(folder)
    config = folder / "config.json"
    entry = '{"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true},'
    config.write_text(entry + config.read_text().lstrip()[1:])


def a_shard_less(folder: Path) -> None:
    write_clip(folder)
    index = {"weight_map": {"logit_scale": "model.safetensors", "text": "gone.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def a_shard_without_name(folder: Path) -> None:
    write_clip(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": 5}}')


def own_code(folder: Path) -> None:
    write_clip(folder)
    config = folder / "config.json"
    custom = '{"auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"},'
    config.write_text(custom + config.read_text().replace('"clip"', '"own"', 1).lstrip()[1:])


def nested_config(folder: Path) -> None:
    write_clip(folder)
    (folder / "config.json").write_text("[" * 100_000)


def endless_weights(folder: Path) -> None:
    write_clip(folder)
    os.truncate(folder / "model.safetensors", 2**37)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (nested_config, "config.json is damaged"),
        (endless_weights, "model.safetensors has more than"),
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "config.json is missing"),
        (no_text_tower, "has no text tower"),
        (no_processor, "has no processor"),
        (no_tokenizer, "does not know common words"),
        (other_widths, "do not share one space"),
        (other_architecture, "transformers cannot load"),
        (half_the_weights, "is missing"),
        (absurd_layers, "absurd num_hidden_layers"),
        (only_pickled, "no weights as safetensors"),
        (quantised, "quantised"),
        (a_shard_less, r"names: gone\.safetensors"),
        (a_shard_without_name, r"index\.json is damaged"),
        (own_code, "brings code of its own"),
    ],
)
def test_a_wrong_checkpoint_is_one_clear_line(tmp_path: Path, write: Write, message: str) -> None:
    write(tmp_path / "model")
    with pytest.raises(LatteError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in caught.value.what
    assert caught.value.where == "backbone.model"


class Hub:
    """The hub of Hugging Face, with one repository or none; `requests` records what is asked."""

    def __init__(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache, self.requests = cache, list[str]()
        self.error: Exception = ConnectionError("Name or service not known")
        self.repository: Path | None = None
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", self.ask)
        monkeypatch.setattr("huggingface_hub.snapshot_download", self.download)

    def ask(self, url: str, **_: Any) -> None:
        self.requests.append(url)
        if self.repository is None:
            raise self.error

    def download(self, name: str, *, local_files_only: bool, **_: Any) -> str:
        if self.repository is not None and not local_files_only:
            shutil.copytree(self.repository, self.cache, dirs_exist_ok=True)
        if not self.cache.exists():
            raise FileNotFoundError(name)
        return str(self.cache)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(tmp_path / "hub", monkeypatch)


def loader_of(folder: Path) -> TransformersLoader:
    return TransformersLoader(TransformersOptions(model="a/clip"), make_context(folder))


def test_hub_is_asked_once_and_a_cached_model_needs_no_network(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(LatteError, match="cannot download a/clip: Name or service") as caught:
        loader_of(tmp_path).fetch()
    assert "hf download a/clip" in str(caught.value.hint)
    assert len(hub.requests) == 1
    write_clip(tmp_path / "repository")
    hub.repository = tmp_path / "repository"
    hub.cache.mkdir()
    for path in hub.repository.iterdir():  # an interrupted download
        if not path.name.startswith("tokenizer"):
            shutil.copy(path, hub.cache)
    loader_of(tmp_path).fetch()
    assert len(hub.requests) == 2
    hub.repository = None
    loader = loader_of(tmp_path)
    loader.fetch()
    assert loader.load().encode_texts(["a cat"]).shape == (1, 12)
    assert len(hub.requests) == 2


def test_gated_model_names_its_page(tmp_path: Path, hub: Hub) -> None:
    hub.error = GatedRepoError("401", response=Mock(headers={}))
    with pytest.raises(LatteError, match=r"its terms on https://huggingface\.co/a/clip"):
        loader_of(tmp_path).fetch()
