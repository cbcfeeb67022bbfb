"""Checkpoints of a student: everything comes back, and damaged or other ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_student.batches import epoch_batches
from latte_student.checkpoint import (
    NAME,
    Position,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from torch import nn

from latte.api import LatteError


def new_state(seed: int) -> TrainingState:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return TrainingState(module, torch.optim.AdamW(module.parameters()), Position())


def take_step(state: TrainingState, seed: int) -> None:
    pixels = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    state.optimizer.zero_grad()
    state.module(pixels).square().sum().backward()
    state.optimizer.step()
    state.position.step += 1


def test_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    state = new_state(0)
    take_step(state, 1)
    state.keep_best()
    state.position.losses.append(0.25)
    save_checkpoint(tmp_path, state, "a")
    take_step(state, 2)
    resumed = new_state(9)
    assert load_checkpoint(tmp_path, resumed, "a")
    assert resumed.position == Position(step=1, losses=[0.25])
    take_step(resumed, 2)
    for first, second in zip(
        state.module.state_dict().values(), resumed.module.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)
    assert all(torch.equal(state.best[name], resumed.best[name]) for name in state.best)


def test_a_checkpoint_of_another_training_is_kept_and_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_state(0), "a")
    with pytest.raises(LatteError, match="another run, or with other settings"):
        load_checkpoint(tmp_path, new_state(0), "b")
    assert (tmp_path / NAME).exists()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_state(0), "a")
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:40])
    with pytest.raises(LatteError, match="damaged"):
        load_checkpoint(tmp_path, new_state(0), "a")


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert not load_checkpoint(tmp_path, new_state(0), "a")


def test_batches_hold_every_image_once_and_differ_by_one_at_most() -> None:
    rows = torch.arange(10, 43)
    batches = epoch_batches(rows, 8, seed=1, epoch=0)
    assert sorted(torch.cat(batches).tolist()) == rows.tolist()
    assert {len(batch) for batch in batches} == {6, 7}
    assert torch.equal(torch.cat(batches), torch.cat(epoch_batches(rows, 8, seed=1, epoch=0)))
    assert not torch.equal(torch.cat(batches), torch.cat(epoch_batches(rows, 8, seed=1, epoch=1)))
