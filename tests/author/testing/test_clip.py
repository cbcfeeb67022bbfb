"""`StubClip` is a complete backbone, and the fixtures are as documented."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_author.testing.fixtures import StubClip, make_context, training_start

PIXELS = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_features_are_distinct_unit_rows() -> None:
    clip = StubClip()
    for features in (clip.encode_images(PIXELS), clip.encode_texts(["a", "b", "ü 🦊"])):
        assert features.shape == (3, clip.embedding_width)
        assert torch.allclose(features.norm(dim=1), torch.ones(3))
        assert (features @ features.T).fill_diagonal_(0).max() < 0.999
    assert torch.equal(clip.encode_texts(["a"]), StubClip().encode_texts(["a", "b"])[:1])
    assert clip.encode_texts([]).shape == (0, clip.embedding_width)


def test_fork_is_independent_and_state_restores_it() -> None:
    clip = StubClip()
    fork = clip.fork()
    parameters = fork.train_only("all")
    loss = (fork.encode_images(PIXELS) @ fork.encode_texts(["a"]).T).sum() * fork.logit_scale
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in parameters.values():
        assert parameter.grad is not None
        with torch.no_grad():
            parameter.add_(1)
    fork.clamp_logit_scale()
    assert fork.logit_scale.item() == pytest.approx(100)
    assert not torch.equal(fork.encode_images(PIXELS), clip.encode_images(PIXELS))
    fork.load_state(clip.state())
    assert torch.equal(fork.encode_images(PIXELS), clip.encode_images(PIXELS))


def test_train_only_unfreezes_the_group() -> None:
    clip = StubClip()
    clip.train_only("all")
    assert [*clip.train_only("projections")] == ["image", "text"]
    assert not clip.logit_scale.requires_grad
    assert not clip.train_only("none")


def test_saving_a_stub_raises(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        StubClip().save(tmp_path)


def test_a_context_starts_at_the_folder(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    assert context.path("a.txt") == tmp_path / "a.txt"
    assert context.frozen_clip().fingerprint == StubClip().fingerprint


def test_the_last_of_several_classes_has_no_image() -> None:
    start = training_start(classes=3, images=8)
    assert start.zero_shot_labels.bincount(minlength=3).tolist() == [4, 4, 0]
    assert start.description_features("image").shape == start.image_features.shape
