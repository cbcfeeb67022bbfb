"""Untrusted model folders run no code, use no network and open no prompt."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from latte_author.testing.fixtures import make_context

from latte.backbone.component import OpenClip
from latte.interfaces import LatteError
from latte.interfaces.settings import BackboneSettings
from tests.helpers.clip_models import open_model

pytestmark = pytest.mark.thorough

CONFIG = "open_clip_config.json"
PIPES = ("pipe as config", "pipe as weights") if hasattr(os, "mkfifo") else ()
CODE = "from pathlib import Path\nPath({mark!r}).touch()\nclass Mine: pass\n"


@pytest.fixture
def folder(tiny_clip_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_clip_folder, tmp_path / "theirs"))


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that were looked up or connected to."""
    addresses: list[Any] = []

    def look_up(*where: Any, **_: Any) -> Any:
        addresses.append(where)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: look_up(where))
    return addresses


def change(folder: Path, part: str, **values: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"][part] |= values
    (folder / CONFIG).write_text(json.dumps(config))


def refusal(folder: Path) -> LatteError:
    with pytest.raises(LatteError) as error:
        open_model(f"local-dir:{folder}", folder)
    return error.value


@pytest.mark.parametrize("how", ["nested config", "endless config", "endless weights", *PIPES])
def test_no_endless_or_deeply_nested_file_is_read(folder: Path, how: str) -> None:
    path = folder / (CONFIG if "config" in how else "open_clip_model.safetensors")
    if how.startswith("pipe"):
        path.unlink()
        os.mkfifo(path)
    elif how.startswith("endless"):
        os.truncate(path, 2**37)
    else:
        path.write_text("[" * 100_000)
    assert path.name in f"{refusal(folder)}"
    with pytest.raises(LatteError, match=path.name):
        identity(folder)


def identity(folder: Path) -> str:
    settings = BackboneSettings(model=f"local-dir:{folder}")
    loader = OpenClip(settings, make_context(folder))
    loader.check()
    return loader.identity()


def bring_code(folder: Path) -> Path:
    """Write files with which transformers would run the folder's own code, and return its mark."""
    mark = folder / "it-ran"
    (folder / "mine.py").write_text(CODE.format(mark=str(mark)))
    automatic = {"AutoTokenizer": [None, "mine.Mine"], "AutoConfig": "mine.Mine"}
    (folder / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": automatic}))
    tokenizer = {"tokenizer_class": "Mine", "auto_map": automatic}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return mark


def test_tokenizer_option_that_trusts_code_raises_error(folder: Path, reached: list[Any]) -> None:
    pytest.importorskip("transformers")
    mark = bring_code(folder)
    options = {"trust_remote_code": True}
    change(folder, "text_cfg", hf_tokenizer_name="theirs", tokenizer_kwargs=options)
    assert "trust_remote_code" in refusal(folder).what
    assert not mark.exists()
    assert not reached


@pytest.mark.parametrize("key", ["hf_tokenizer_name", "hf_model_name"])
def test_code_in_a_model_folder_raises_error_without_a_prompt(
    folder: Path, key: str, reached: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", lambda _: "y")
    mark = bring_code(folder)
    change(folder, "text_cfg", **{key: "theirs"})
    assert "brings code of its own, which latte never runs" in refusal(folder).what
    assert not mark.exists()
    assert "mine" not in sys.modules
    assert not reached


def test_remote_text_tower_is_not_downloaded(folder: Path, reached: list[Any]) -> None:
    pytest.importorskip("transformers")
    change(folder, "text_cfg", hf_model_name="someone/tower", hf_pooler_type="mean_pooler")
    assert refusal(folder).exit_code == 2
    assert not reached


@pytest.mark.parametrize("name", ["hf-hub:someone/tower", "hf_hub:someone/tower", "../tower"])
def test_remote_image_tower_is_not_downloaded(folder: Path, name: str, reached: list[Any]) -> None:
    change(folder, "vision_cfg", timm_model_name=name, timm_model_pretrained=True)
    assert f"takes its image tower from {name}" in refusal(folder).what
    assert not reached


def test_timm_tower_is_built_without_downloading_weights(folder: Path, reached: list[Any]) -> None:
    change(folder, "vision_cfg", timm_model_name="resnet10t", timm_model_pretrained=True)
    assert "do not fit the architecture" in refusal(folder).what
    assert not reached


@pytest.mark.parametrize("part", ["text_cfg", "vision_cfg"])
def test_config_parts_of_another_type_raise_error(folder: Path, part: str) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"][part] = ["x"]
    (folder / CONFIG).write_text(json.dumps(config))
    assert "does not describe an open_clip model" in refusal(folder).what


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["weights.npz", "weights.npy"])
def test_objects_in_weights_of_numpy_are_not_unpickled(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "it-ran"
    content = numpy.array([Trap(mark)], dtype=object)
    path = tmp_path / name
    if path.suffix == ".npz":
        numpy.savez(path, x=content)
    else:
        numpy.save(path, content)
    with pytest.raises(LatteError, match="open_clip cannot load ViT-B-32"):
        open_model("ViT-B-32", tmp_path, name)
    assert not mark.exists()
