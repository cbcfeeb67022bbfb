"""The image tower compiled by torch's own compiler, on a CPU."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

from latte.backbone import compiled
from latte.interfaces import LatteError
from tests.helpers.clip_models import TINY_CLIP, build_clip, pixels

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def compiler() -> Iterator[None]:
    if not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        pytest.skip("this machine has no C++ compiler")
    compiled.forget_compiled()
    yield
    compiled.forget_compiled()


def test_features_and_gradients_agree_with_those_of_a_plain_tower() -> None:
    compiled.check_compiler(torch.device("cpu"), "default")
    counters.clear()  # of the graph of the check
    found = []
    for mode in (None, "default"):
        backbone = build_clip(TINY_CLIP)
        backbone.use_kernels("by_length", mode)  # type: ignore[arg-type]
        weights = backbone.train_only("all")
        for _ in range(2):  # the second pass uses what the first one compiled
            backbone.model.zero_grad()
            features = backbone.encode_images(pixels(backbone, 3))
            (features @ features.T).square().sum().backward()
        grads = {name: one.grad for name, one in weights.items() if one.grad is not None}
        found.append((features.detach(), grads))
    (plain, expected), (ours, gradients) = found
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=0)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] == 2


def test_missing_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as config

    monkeypatch.setattr(config.cpp, "cxx", ("/no/such/compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    compiled._try_compiler.cache_clear()
    try:
        with pytest.raises(LatteError, match=r"torch\.compile does not work on this machine"):
            compiled.check_compiler(torch.device("cpu"), "default")
    finally:
        compiled._try_compiler.cache_clear()
