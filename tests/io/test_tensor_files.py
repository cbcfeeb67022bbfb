"""Tensors are read back to the bit and aligned, or damage is detected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from latte.io.tensor_files import DamagedTensorsError, load_tensors, save_tensors, tensor_digest

TENSORS = {
    "matrix": torch.arange(21, dtype=torch.float32).reshape(3, 7),
    "number": torch.tensor(3, dtype=torch.int64),
    "halves": torch.ones(5, dtype=torch.bfloat16),
    "yes": torch.tensor([True, False, True]),
    "nothing": torch.zeros(0, 4),
}


def saved(folder: Path) -> Path:
    path = folder / "some.safetensors"
    save_tensors(path, TENSORS)
    return path


def test_tensors_are_read_back_to_the_bit(tmp_path: Path) -> None:
    tensors = load_tensors(saved(tmp_path))
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)


def test_loaded_tensors_are_aligned(tmp_path: Path) -> None:
    """Products of matrices with another alignment may have other last bits."""
    tensors = load_tensors(saved(tmp_path))
    assert all(value.data_ptr() % 64 == 0 for value in tensors.values() if value.numel())


@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit_in_tensor_file_is_detected(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    path = saved(tmp_path_factory.mktemp("turned"))
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + int(place * (len(data) - start))] ^= 1 << bit
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedTensorsError):
        load_tensors(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_tensor_file_is_detected(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DamagedTensorsError):
        load_tensors(path)


def test_file_without_digest_is_refused(tmp_path: Path) -> None:
    save_file({"zeros": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DamagedTensorsError):
        load_tensors(tmp_path / "foreign.safetensors")


def test_tensor_digest_depends_on_names_types_and_shapes_not_order() -> None:
    tensors = {"a": torch.zeros(4), "b": torch.ones(2)}
    assert tensor_digest(tensors) == tensor_digest(dict(reversed(tensors.items())))
    changed_tensors = (
        {"a": torch.zeros(4), "c": torch.ones(2)},
        {"a": torch.zeros(2, 2), "b": torch.ones(2)},
        {"a": torch.zeros(4, dtype=torch.int32), "b": torch.ones(2)},
    )
    assert len({tensor_digest(value) for value in (tensors, *changed_tensors)}) == 4
