"""Which checkpoint is meant, what identifies it, and what is said about one that cannot serve."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from latte_author.testing.fixtures import described_images
from latte_llava import checkpoint as checkpoints
from latte_llava import loading
from latte_llava.checkpoint import find_checkpoint
from latte_llava.library import transformers
from latte_llava.options import LlavaOptions
from llava_checkpoints import FAMILIES, checkpoint, describer
from safetensors.torch import load_file, save_file

from latte.api import DescribeRequest, LatteError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a checkpoint beside the recipe, to be broken."""
    shutil.copytree(checkpoint("tiny-llava"), tmp_path / "model")
    return tmp_path / "model"


def ask(model: Path | str, tmp_path: Path, **options: Any) -> list[str]:
    image = described_images(tmp_path / "asked", 1)[0]
    return describer(model, tmp_path, **options).describe([DescribeRequest((image,), "What?")])


def complaint(model: Path | str, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(LatteError) as caught:
        ask(model, tmp_path, **options)
    return str(caught.value)


class TestNames:
    def test_plugin_names_a_model_that_a_plugin_brings(self, folder: Path, tmp_path: Path) -> None:
        names: list[str] = []

        def model_folder(name: str) -> Path:
            names.append(name)
            return folder

        context = replace(describer(folder, tmp_path).context, model_folder=model_folder)
        plugin_checkpoint = find_checkpoint(LlavaOptions(model="plugin:small"), context)
        assert names == ["small"]
        assert plugin_checkpoint.source == str(folder)
        assert plugin_checkpoint.name == "plugin:small"

    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ("plugin:small", "no plugin provides a model called small"),
            ("./models/llava", "no folder {}/models/llava"),
            ("my llava", "`my llava` is neither a folder nor the name of a model"),
        ],
    )
    def test_what_names_no_model_is_said(self, tmp_path: Path, model: str, expected: str) -> None:
        assert expected.format(tmp_path) in complaint(model, tmp_path)


class TestFingerprint:
    def test_it_needs_no_weights_in_memory(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("latte_llava.describer.load_model", None)
        monkeypatch.setattr("latte_llava.describer.load_processor", None)
        assert "llava-1 folder=" in describer(folder, tmp_path).fingerprint

    def test_a_folder_is_known_by_its_content_wherever_it_is(
        self, folder: Path, tmp_path: Path
    ) -> None:
        fingerprint = describer(folder, tmp_path).fingerprint
        folder.rename(tmp_path / "moved")
        (tmp_path / "moved" / "README.md").write_text("other words")
        assert describer("moved", tmp_path).fingerprint == fingerprint

    @pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json"])
    def test_it_changes_with_every_file_that_matters(
        self, folder: Path, tmp_path: Path, name: str
    ) -> None:
        fingerprint = describer(folder, tmp_path).fingerprint
        (folder / name).write_text((folder / name).read_text() + "\n")
        assert describer(folder, tmp_path).fingerprint != fingerprint

    def test_it_changes_with_a_single_weight(self, folder: Path, tmp_path: Path) -> None:
        fingerprint = describer(folder, tmp_path).fingerprint
        weights = load_file(folder / "model.safetensors")
        next(iter(weights.values())).view(-1)[0] += 1
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        assert describer(folder, tmp_path).fingerprint != fingerprint

    def test_it_changes_with_a_weight_although_size_and_modification_time_stay(
        self, folder: Path, tmp_path: Path
    ) -> None:
        fingerprint, weights = describer(folder, tmp_path).fingerprint, folder / "model.safetensors"
        status, data = weights.stat(), bytearray(weights.read_bytes())
        data[-1] ^= 1
        time.sleep(0.02)  # the clock of a file system is coarse
        weights.write_bytes(data)
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert weights.stat().st_mtime_ns == status.st_mtime_ns
        assert describer(folder, tmp_path).fingerprint != fingerprint

    def test_weights_that_did_not_change_are_read_once(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fingerprint = describer(folder, tmp_path).fingerprint

        def unused(*_: Any) -> None:
            raise AssertionError("a file was read again")

        monkeypatch.setattr("latte_llava.checkpoint.hashlib.file_digest", unused)
        assert describer(folder, tmp_path).fingerprint == fingerprint

    @pytest.mark.parametrize("options", [{"batch_size": 3}, {"spread": True}, {"images": "grid"}])
    def test_it_is_silent_about_what_changes_no_text(
        self, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        model = checkpoint("tiny-llava")
        usual = describer(model, tmp_path).fingerprint
        assert describer(model, tmp_path, **options).fingerprint == usual

    def test_top_p_counts_only_when_something_is_sampled(self, tmp_path: Path) -> None:
        model = checkpoint("tiny-llava")

        def fingerprint(**options: Any) -> str:
            return describer(model, tmp_path, **options).fingerprint

        assert fingerprint(top_p=0.5) == fingerprint()
        assert fingerprint(top_p=0.5, temperature=1.0) != fingerprint(temperature=1.0)


class TestHub:
    @pytest.fixture
    def cached(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A cache of the hub that holds one model."""
        hub = tmp_path / "hub"
        model = hub / "models--people--tiny"
        shutil.copytree(checkpoint("tiny-llava"), model / "snapshots" / COMMIT)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text(COMMIT)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
        return hub

    def test_a_model_is_known_by_its_commit(self, cached: Path, tmp_path: Path) -> None:
        llava = describer("people/tiny", tmp_path)
        assert f"model=people/tiny@{COMMIT} " in llava.fingerprint
        assert ask("people/tiny", tmp_path) == ask(checkpoint("tiny-llava"), tmp_path)

    def test_a_folder_beside_the_recipe_comes_first(
        self, cached: Path, folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(folder, tmp_path / "people" / "tiny")
        assert "folder=" in describer("people/tiny", tmp_path).fingerprint

    def test_a_model_that_is_not_here_is_named_with_the_way_to_get_it(
        self, cached: Path, tmp_path: Path
    ) -> None:
        message = complaint("people/absent", tmp_path)
        assert "people/absent is neither a folder nor in the cache" in message
        assert "hf download people/absent" in message
        assert "HF_HOME" in message

    def test_an_unknown_revision_is_no_other_one(self, cached: Path, tmp_path: Path) -> None:
        assert "people/tiny" in complaint("people/tiny", tmp_path, revision="v2")

    def test_a_half_downloaded_model_is_an_error(self, cached: Path, tmp_path: Path) -> None:
        (cached / "models--people--tiny/snapshots" / COMMIT / "model.safetensors").unlink()
        assert "people/tiny" in complaint("people/tiny", tmp_path)

    def test_a_folder_elsewhere_is_not_taken_for_a_model_of_the_hub(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(folder, tmp_path / "elsewhere/people/tiny")
        monkeypatch.chdir(tmp_path / "elsewhere")
        message = complaint("people/tiny", tmp_path / "recipes")
        assert str(tmp_path / "elsewhere/people/tiny") in message

    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            ("You are trying to access a gated repo.", "hf auth login"),
            ("CUDA out of memory.", "load_in: 4bit"),
            ("something else\nwith details", "people/tiny cannot be loaded: something else"),
        ],
    )
    def test_what_the_hub_says_is_explained(self, message: str, expected: str) -> None:
        with pytest.raises(LatteError) as caught, checkpoints.explained("people/tiny"):
            raise OSError(message)
        assert expected in str(caught.value)
        assert "people/tiny" in str(caught.value)


def edited(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def without(*patterns: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    return edit


def projector_of(weights: Mapping[str, torch.Tensor]) -> str:
    """Some versions of transformers write a prefix."""
    return next(name for name in weights if name.endswith("multi_modal_projector.linear_1.weight"))


def lacking_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop(projector_of(weights))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_size(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = projector_of(weights)
    weights[name] = torch.cat([weights[name]] * 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without("config.json"), "model_type"),
        (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON"),
        (edited(model_type="llava_mistral"), "llava-hf/llava-v1.6-mistral-7b-hf"),
        (edited(model_type="llama"), "no model that answers questions about images"),
        (without("processor_config.json", "preprocessor_config.json"), "processor"),
        (without("tokenizer*"), "cannot be loaded"),
        (without("*.safetensors"), "safetensors"),
        (lacking_a_weight, "lacks 1 weights"),
        (of_another_size, "cannot be loaded"),
        (lambda folder: os.truncate(folder / "model.safetensors", 50), "cannot be loaded"),
    ],
)
def test_a_broken_folder_is_an_error_that_names_it(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(folder)
    message = complaint("model", tmp_path)
    assert "model" in message
    assert expected in message


def test_a_folder_has_no_revision(folder: Path, tmp_path: Path) -> None:
    assert "describer.revision" in complaint("model", tmp_path, revision="main")


def test_a_family_without_a_template_is_refused(tmp_path: Path) -> None:
    shutil.copytree(checkpoint("tiny-llava-next"), tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    assert "chat_template.jinja" in complaint("model", tmp_path)


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickled_weights_are_never_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    trap = tmp_path / "sprung"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(trap)))
    assert "safetensors" in complaint("model", tmp_path)
    assert not trap.exists()


def test_code_that_comes_with_a_checkpoint_is_never_run(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    code = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\nclass Mine: pass\n"
    (folder / "mine.py").write_text(code)
    references = {
        "AutoConfig": "mine.Mine",
        "AutoModelForImageTextToText": "mine.Mine",
        "AutoProcessor": "mine.Mine",
    }
    edited(auto_map=references)(folder)
    assert ask("model", tmp_path)
    edited(auto_map=references, model_type="mine")(folder)
    assert "code of its own, which latte never runs" in complaint("model", tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("options", "package", "extra"),
    [
        ({"load_in": "4bit"}, "bitsandbytes", "4bit"),
        ({"load_in": "8bit"}, "bitsandbytes", "4bit"),
        ({"spread": True}, "accelerate", "spread"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    package: str,
    extra: str,
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == package else name)
    message = complaint(checkpoint("tiny-llava"), tmp_path, **options)
    assert f'pip install "latte-llava[{extra}]"' in message


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("load_in", ["4bit", "8bit"])
def test_quantisation_leaves_the_image_tower_and_the_output_layer_out(
    monkeypatch: pytest.MonkeyPatch, family: str, load_in: Any
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: name)
    monkeypatch.setattr(transformers, "BitsAndBytesConfig", dict)
    placed = loading._placement(LlavaOptions(load_in=load_in), "bfloat16", "cpu")
    left_out = tuple(placed["quantization_config"]["llm_int8_skip_modules"])
    model = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint(family))
    linear = [name for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    quantised = [name for name in linear if not name.startswith(left_out)]
    components = {name.split(".")[1] for name in quantised}
    assert components & {"language_model", "text_model"}
    assert components <= {"language_model", "text_model", "multi_modal_projector", "connector"}


@pytest.mark.parametrize(
    ("device", "supports_bf16", "dtype"),
    [
        ("cpu", True, "float32"),
        ("cuda:2", True, "bfloat16"),
        ("cuda", False, "float16"),
        ("mps", True, "float16"),
    ],
)
def test_the_number_format_suits_the_device(
    monkeypatch: pytest.MonkeyPatch, device: str, supports_bf16: bool, dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supports_bf16)
    assert loading.choose_dtype(LlavaOptions(), device) == dtype
    assert loading.choose_dtype(LlavaOptions(dtype="float32"), device) == "float32"


def test_a_model_spread_by_accelerate_writes_the_same(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    model = checkpoint("tiny-llava")
    assert ask(model, tmp_path, spread=True) == ask(model, tmp_path)
