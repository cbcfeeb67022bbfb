"""Networks of timm: names, local weights by name or by order, and what does not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
from latte_student.network import build_network, known_name
from safetensors.torch import save_file

from latte.api import LatteError

STUDENT = "timm:test_efficientnet"


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return timm.create_model("test_efficientnet", num_classes=9).state_dict()


def first_weight(path: Path | None) -> torch.Tensor:
    torch.manual_seed(0)
    weight: torch.Tensor = build_network(STUDENT, 3, 32, path).module.state_dict()[
        "conv_stem.weight"
    ]
    return weight


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ("timm:mobilenetv4_conv_smal", 'Did you mean "mobilenetv4_conv_small"'),
        ("resnet18", "write timm:resnet18"),
        ("timm:hf-hub:a/b", "has no model"),
        ("timm:../resnet18", "has no model"),
    ],
)
def test_an_unknown_network_is_refused(student: str, message: str) -> None:
    with pytest.raises(LatteError) as caught:
        known_name(student)
    assert message in str(caught.value)


def test_a_network_gives_a_score_per_class_of_the_run() -> None:
    network = build_network(STUDENT, 3, 32, None)
    assert network.module(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert network.pixel_format.size == 32


def test_weights_are_loaded_without_their_classifier(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file(weights, tmp_path / "w.safetensors")
    assert torch.equal(first_weight(tmp_path / "w.safetensors"), weights["conv_stem.weight"])
    assert not torch.equal(first_weight(None), weights["conv_stem.weight"])


def test_weights_with_other_names_are_loaded_in_their_order(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    renamed = {f"_{number}": tensor for number, tensor in enumerate(weights.values())}
    torch.save(renamed, tmp_path / "w.pth")
    assert torch.equal(first_weight(tmp_path / "w.pth"), weights["conv_stem.weight"])


def test_weights_that_do_not_fit_are_refused(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file({**weights, "conv_stem.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(LatteError, match=r"conv_stem.weight has the shape \(2,\)"):
        first_weight(tmp_path / "w.safetensors")
    save_file({"other": torch.zeros(2)}, tmp_path / "o.safetensors")
    with pytest.raises(LatteError, match="do not fit the model"):
        first_weight(tmp_path / "o.safetensors")


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("was-run"),)


def test_code_in_a_file_of_weights_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"conv_stem.weight": _Code()}, protocol=2))
    with pytest.raises(LatteError, match="no weights can be read"):
        first_weight(tmp_path / "w.pth")
    assert not (tmp_path / "was-run").exists()
