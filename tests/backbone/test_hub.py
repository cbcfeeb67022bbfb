"""Models of the Hugging Face hub: cached files, a single try, and what needs no download."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled

from latte.backbone import hub
from latte.backbone.load import load_backbone
from latte.backbone.source import ModelSource, find_model
from latte.interfaces import LatteError
from latte.interfaces.settings import BackboneSettings

REPOSITORY = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
TAG = "laion2b_s34b_b79k"


def add_to_cache(cache: Path, repository: str, *files: Path, name: str | None = None) -> Path:
    """Add files to a cache of the hub, and return the folder that contains them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in files:
        shutil.copy(file, snapshot / (name or file.name))
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def requested_urls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each request to the hub; every one fails like a machine without a network."""
    requests: list[str] = []

    def refuse(url: str, **_: Any) -> None:
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled
        requests.append(url)
        raise ConnectionError("[Errno -2] Name or service not known")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.file_download.get_hf_file_metadata", refuse)
    return requests


def model_source(model: str, tag: str | None, cache: Path) -> ModelSource:
    return find_model(
        BackboneSettings(model=model, pretrained=tag),
        base_dir=cache.parent,
        model_folder=lambda name: cache,
    )


@pytest.mark.parametrize("offline", [False, True])
def test_absent_model_is_asked_for_once_and_ways_on_are_named(
    cache: Path,
    tmp_path: Path,
    requested_urls: list[str],
    offline: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    weights = tmp_path / "open_clip_pytorch_model.bin"
    weights.touch()
    add_to_cache(cache, "timm/vit_base_patch32_clip_224.openai", weights)
    with pytest.raises(LatteError) as error:
        model_source("ViT-B-32", TAG, cache)
    assert f"ViT-B-32 {TAG} ({REPOSITORY}/)" in error.value.what
    if not offline:
        (url,) = requested_urls
        assert REPOSITORY in url
        assert "Name or service not known" in error.value.what
    for way in ("local-dir:FOLDER", "plugin:tiny", "ViT-B-32:openai"):
        assert way in str(error.value.hint)


def test_absent_repository_names_its_files(
    cache: Path, requested_urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LatteError) as error:
        model_source("hf-hub:someone/clip", None, cache)
    files = "open_clip_config.json and open_clip_model.safetensors"
    assert f"{files} of someone/clip" in error.value.what
    assert "local-dir:FOLDER" in str(error.value.hint)


def test_gated_model_names_its_page_and_the_login(
    cache: Path, monkeypatch: pytest.MonkeyPatch, requested_urls: list[str]
) -> None:
    def refuse(url: str, **_: Any) -> None:
        raise GatedRepoError("401", response=Mock(headers={}))

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    with pytest.raises(LatteError, match=r"huggingface\.co/someone/clip, then run: hf auth"):
        model_source("hf-hub:someone/clip", None, cache)


def test_silent_hub_is_given_up(
    cache: Path, monkeypatch: pytest.MonkeyPatch, requested_urls: list[str]
) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url, **_: time.sleep(30))
    began = time.monotonic()
    with pytest.raises(LatteError, match=r"no answer within 0\.2 s"):
        model_source("hf-hub:someone/clip", None, cache)
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_cached_weights_need_no_network(
    cache: Path, tiny_clip_folder: Path, requested_urls: list[str], name: str
) -> None:
    weights = tiny_clip_folder / "open_clip_model.safetensors"
    snapshot = add_to_cache(cache, REPOSITORY, weights, name=name)
    assert model_source("ViT-B-32", TAG, cache).weights == snapshot / name
    assert requested_urls == []


def test_cached_repository_loads_without_network(
    cache: Path, tiny_clip_folder: Path, requested_urls: list[str]
) -> None:
    add_to_cache(cache, "someone/clip", *tiny_clip_folder.iterdir())
    backbone = load_backbone(
        BackboneSettings(model="hf-hub:someone/clip"),
        device="cpu",
        base_dir=cache,
        model_folder=lambda name: cache,
    )
    assert backbone.encode_texts(["a"]).shape[0] == 1
    assert requested_urls == []
    assert hub.cached_models() == ["hf-hub:someone/clip"]


def test_file_that_the_repository_lacks_is_not_tried_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    def answer(repository: str, file: str) -> None:
        if file.endswith(".safetensors"):
            raise EntryNotFoundError("404")

    monkeypatch.setattr(hub, "_ask", answer)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repository, file: f"got/{file}")
    assert hub.fetch("a/b", hub.WEIGHTS_FILES) == Path("got/open_clip_pytorch_model.bin")


@pytest.mark.parametrize(
    ("place", "files"),
    [
        ("a/b/", hub.WEIGHTS_FILES),
        ("a/b/open_clip_pytorch_model.bin", hub.WEIGHTS_FILES),
        ("a/b/x.bin", ("x.safetensors", "x.bin")),
        ("a/b/x.pt", ("x.pt",)),
    ],
)
def test_safetensors_are_preferred(place: str, files: tuple[str, ...]) -> None:
    assert hub.weights_files(place) == ("a/b", files)


@pytest.mark.parametrize("name", ["a/b/c", "foo bar", "-x/y"])
def test_impossible_repository_names_raise_one_clear_error(
    cache: Path, requested_urls: list[str], name: str
) -> None:
    with pytest.raises(LatteError, match=r"[Rr]epo id must"):
        model_source(f"hf-hub:{name}", None, cache)
    with pytest.raises(OSError, match=r"[Rr]epo id must") as error:
        hub.fetch_repository(name, ["*.json"], lambda folder: True)
    assert "\n" not in str(error.value)
    assert requested_urls == []
