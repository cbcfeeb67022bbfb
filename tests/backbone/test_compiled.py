"""Compiled image towers have the features and gradients of plain ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn.functional import normalize

from latte.backbone import compiled
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from latte.train.precision import backward_in, forward_in
from latte.train.timing import count_flops
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, pixels, with_parts

pytestmark = pytest.mark.thorough

CPU = torch.device("cpu")
THREE_LAYERS = with_parts({"layers": 3})


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trace the forward and the backward pass, and run the traced operations as they are."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    compiled.forget_compiled()
    counters.clear()
    yield
    compiled.forget_compiled()


def twins(config: dict[str, Any]) -> tuple[OpenClipBackbone, OpenClipBackbone]:
    """Return two backbones with the same weights, of which the second is compiled."""
    plain, ours = build_clip(config), build_clip(config)
    ours.check_kernels("by_length", "default")
    ours.use_kernels("by_length", "default")
    return plain, ours


def gradients(backbone: OpenClipBackbone, features: Tensor) -> dict[str, Tensor]:
    factors = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).sin()
    backbone.model.zero_grad()
    (features * factors.view_as(features)).sum().backward()
    return {
        name: weight.grad.clone()
        for name, weight in backbone.model.named_parameters()
        if weight.grad is not None
    }


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp_min(1e-3).item()
        torch.testing.assert_close(found[name], gradient, atol=tolerance * scale, rtol=0)


def graphs() -> int:
    """Return the number of graphs that were compiled in this test."""
    return counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("recomputed", [False, True], ids=["stored", "recomputed"])
def test_features_and_gradients_agree_to_1e_12_in_float64(
    recomputed: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", backend)
    monkeypatch.setattr(
        "latte.backbone.open_clip._unit", lambda features: normalize(features, dim=-1)
    )
    pair, found = twins(THREE_LAYERS), []
    for backbone in pair:
        backbone.model.double()
        backbone.train_only("all")
        if recomputed:
            backbone.recompute_activations()
        features = backbone.encode_images(pixels(backbone, 3).double())
        found.append((features.detach(), gradients(backbone, features)))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-12, rtol=0)
    assert_same(found[1][1], found[0][1], 1e-12)
    assert graphs() > 0


@pytest.mark.parametrize("arithmetic", ["fp32", "tf32", "bf16"])
def test_gradients_agree_in_the_arithmetic_of_a_step(arithmetic: Any) -> None:
    found = []
    for backbone in twins(THREE_LAYERS):
        backbone.train_only("all")
        with forward_in(arithmetic, CPU):
            features = backbone.encode_images(pixels(backbone, 3))
        with backward_in(arithmetic):
            found.append(gradients(backbone, features))
    assert_same(found[1], found[0], 0.05 if arithmetic == "bf16" else 1e-5)
    assert graphs() > 0


def test_all_but_the_last_block_share_a_graph_per_shape() -> None:
    _, ours = twins(THREE_LAYERS)
    ours.train_only("all")
    for count in (3, 2, 3):
        ours.encode_images(pixels(ours, count)).sum().backward()
    assert graphs() == 2 * 2
    twin = ours.fork()
    twin.train_only("all")
    twin.encode_images(pixels(twin, 2)).sum().backward()
    assert graphs() == 2 * 2


def test_more_shapes_than_torch_compiles_by_default_are_compiled() -> None:
    _, ours = twins(clip_models.TINY_CLIP)
    ours.train_only("all")
    for count in range(1, 12):
        ours.encode_images(pixels(ours, count))
    assert graphs() == 2 * 11


def test_passes_without_gradient_have_the_bits_of_a_plain_tower() -> None:
    plain, ours = twins(clip_models.TINY_CLIP)
    ours.train_only("all")
    with torch.no_grad():
        assert torch.equal(*(one.encode_images(pixels(one, 3)) for one in (plain, ours)))
    assert graphs() == 0


def test_flops_are_counted_without_compilation() -> None:
    found = []
    for backbone in twins(clip_models.TINY_CLIP):
        backbone.train_only("all")
        with count_flops() as counter:
            backbone.encode_images(pixels(backbone, 3)).sum().backward()
        found.append(counter.get_total_flops())
    assert found[0] == found[1] > 0
    assert graphs() == 0


def test_names_of_weights_do_not_change() -> None:
    plain, ours = twins(clip_models.TINY_CLIP)
    weights = ours.train_only("all")
    ours.encode_images(pixels(ours, 2)).sum().backward()
    assert ours.state().keys() == plain.state().keys()
    assert weights.keys() == plain.train_only("all").keys()
    plain.load_state(ours.state())


def test_texts_are_not_compiled() -> None:
    plain, ours = twins(clip_models.TINY_CLIP)
    ours.train_only("all")
    texts = ["a photo of a dog", "hi"]
    assert torch.equal(ours.encode_texts(texts), plain.encode_texts(texts))
    assert graphs() == 0


@pytest.mark.parametrize("config", [clip_models.TIMM_MLP, clip_models.CUSTOM_BLOCKS])
def test_other_image_towers_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(LatteError, match="open_clip's own vision transformers") as caught:
        build_clip(config).check_kernels("by_length", "default")
    assert caught.value.where == "train.compile"


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_modes_with_cuda_graphs_are_refused_on_a_cpu(mode: Any) -> None:
    with pytest.raises(LatteError, match=f"`{mode}` needs a CUDA GPU; this run is on cpu"):
        compiled.check_compiler(CPU, mode)


def test_missing_compiler_is_refused_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise OSError("no compiler found")

    compiled.check_compiler(CPU, "default")
    monkeypatch.setattr(compiled, "BACKEND", broken)
    with pytest.raises(LatteError, match="OSError: no compiler found") as caught:
        compiled.check_compiler(CPU, "default")
    assert "install a C++ compiler" in (caught.value.hint or "")
