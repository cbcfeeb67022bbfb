"""Cached features equal encoded ones; damaged ones are encoded again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from latte.run import feature_cache, workspace
from latte.run.feature_cache import FeatureBlocks, cached_features
from latte.run.workspace import Workspace
from tests.faults.damage import DAMAGES
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

WIDTH = 7


def feature(key: str) -> Tensor:
    return torch.full((WIDTH,), float(sum(key.encode())))


@dataclass
class Cache:
    """A cache folder that records what was encoded and reported for each list of keys."""

    folder: Path
    encoded: list[list[int]] = field(default_factory=list)
    progress: RecordedProgress = field(default_factory=RecordedProgress)

    def get(self, *keys: str, clip: str = "clip") -> Tensor:
        self.encoded.append([])

        def encode(missing: Sequence[int]) -> Tensor:
            self.encoded[-1] = [*missing]
            return torch.stack([feature(keys[index]) for index in missing])

        identity = (clip, "images")
        features = cached_features(
            self.folder, identity, keys, encode, WIDTH, self.progress, "encode"
        )
        assert torch.equal(features, torch.stack([feature(key) for key in keys]))
        return features

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "features").glob("*/*"))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_features_are_encoded_once(cache: Cache) -> None:
    cache.get("a", "b", "c")
    cache.get("a", "b", "c")
    assert cache.encoded == [[0, 1, 2], []]
    assert cache.progress.lines == ["encode: 3 features reused from the cache"]


def test_added_image_is_encoded_alone(cache: Cache) -> None:
    cache.get("a", "c")
    cache.get("a", "b", "c")
    assert cache.encoded == [[0, 1], [1]]


def test_removed_image_or_other_order_encodes_nothing(cache: Cache) -> None:
    cache.get("a", "b", "c")
    cache.get("c", "a")
    cache.get("c", "b", "a")
    assert cache.encoded[1:] == [[], []]


def test_copies_of_an_image_are_encoded_once(cache: Cache) -> None:
    cache.get("a", "b", "a", "c", "b")
    cache.get("c", "c", "d", "d")
    assert cache.encoded == [[0, 1, 3], [2]]


def test_another_clip_has_its_own_features(cache: Cache) -> None:
    cache.get("a")
    cache.get("a", clip="other")
    assert cache.encoded == [[0], [0]]


def test_deterministic_runs_reuse_no_features_of_other_runs(cache: Cache) -> None:
    cache.get("a")
    torch.use_deterministic_algorithms(True)
    try:
        cache.get("a")
    finally:
        torch.use_deterministic_algorithms(False)
    assert cache.encoded == [[0], [0]]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_features_are_encoded_and_cached_again(cache: Cache, damage: str) -> None:
    cache.get("a", "b")
    (path,) = cache.files
    DAMAGES[damage](path)
    cache.get("a", "b")
    cache.get("a", "b")
    assert cache.encoded == [[0, 1], [0, 1], []]


def test_any_changed_byte_of_a_feature_file_is_noticed(cache: Cache) -> None:
    cache.get("a", "b")
    (path,) = cache.files
    intact = path.read_bytes()
    header = int.from_bytes(intact[:8], "little") + 8
    for place in range(header, len(intact)):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :])
        cache.get("a", "b")
        assert cache.encoded[-1], f"byte {place}"


def test_foreign_feature_files_are_replaced(cache: Cache) -> None:
    cache.get("a", "b")
    (path,) = cache.files
    save_file({"keys": torch.ones(2, 16, dtype=torch.uint8), "features": torch.ones(2, 7)}, path)
    cache.get("a", "b")
    assert cache.encoded[-1] == [0, 1]


def test_read_only_cache_is_reported_and_features_are_right(cache: Cache) -> None:
    (cache.folder / "features").write_text("a file where the folder should be")
    cache.get("a", "b")
    assert any("features are not cached" in line for line in cache.progress.lines)


def test_a_folder_that_grows_by_an_image_has_few_files(cache: Cache) -> None:
    keys: list[str] = []
    for number in range(40):
        keys.append(f"image {number}")
        cache.get(*keys)
        assert len(cache.files) <= 8
    assert cache.encoded == [[number] for number in range(40)]


def test_many_features_are_split_into_several_files(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "rows_per_block", lambda width: 2)
    keys = [f"image {number}" for number in range(20)]
    cache.get(*keys)
    assert len(cache.files) == 3
    cache.get(*reversed(keys))
    assert cache.encoded[-1] == []


def test_features_that_are_not_needed_are_not_read(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "rows_per_block", lambda width: 1)
    cache.get(*[f"image {number}" for number in range(20)])
    read: list[str] = []
    original: Callable[..., Tensor | None] = feature_cache._read

    def noted(path: Path, name: str, *arguments: object) -> Tensor | None:
        read.append(name)
        return original(path, name, *arguments)

    monkeypatch.setattr(feature_cache, "_read", noted)
    cache.get("image 3")
    assert read.count("features") == 1
    assert read.count("keys") == 5


def test_files_that_another_process_merged_meanwhile_are_no_error(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.get("a", "b")
    (path,) = cache.files
    gone = path.with_name("gone.safetensors")
    monkeypatch.setattr(FeatureBlocks, "_paths", lambda self: [gone, path])
    cache.get("a", "b")
    assert cache.encoded[-1] == []


WRITER = """
import sys, torch
from pathlib import Path
from latte.run.feature_cache import FeatureBlocks
blocks = FeatureBlocks(Path(sys.argv[1]), 7)
print("ready", flush=True)
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    blocks.add([f"image {number}"], torch.full((1, 7), float(number)))
"""


def writer(folder: Path, start: int, stop: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(start), str(stop)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def rows_of(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    out = torch.zeros(count, WIDTH)
    is_cached = FeatureBlocks(folder, WIDTH).read(
        [f"image {number}" for number in range(count)], out
    )
    return is_cached, out


def assert_known_rows_are_right(is_cached: Tensor, out: Tensor) -> None:
    expected = torch.arange(len(out), dtype=torch.float32)[:, None].expand(-1, WIDTH)
    assert torch.equal(out[is_cached], expected[is_cached])


def test_a_killed_writer_leaves_whole_files(tmp_path: Path) -> None:
    process = writer(tmp_path, 0, 10_000)
    while not rows_of(tmp_path, 10_000)[0].sum() > 20:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    files = sorted(tmp_path.glob("[!.]*"))
    is_cached, out = rows_of(tmp_path, 10_000)
    assert is_cached.sum() > 20
    assert_known_rows_are_right(is_cached, out)
    assert sorted(tmp_path.glob("[!.]*")) == files, "a damaged file was found and removed"


def test_two_concurrent_writers_leave_whole_files(tmp_path: Path) -> None:
    writers = [writer(tmp_path, 0, 40), writer(tmp_path, 40, 80)]
    assert [process.wait() for process in writers] == [0, 0]
    is_cached, out = rows_of(tmp_path, 80)
    assert is_cached.all()
    assert_known_rows_are_right(is_cached, out)


def test_features_of_a_gpu_are_cached_by_its_name_and_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card of {device}")

    def identity(device: str, arithmetic: str) -> Any:
        workspace_stub: Any = SimpleNamespace(
            device=device,
            arithmetic=arithmetic,
            recipe=SimpleNamespace(encoders=(), backbone=None),
            frozen_model=lambda encoder: SimpleNamespace(fingerprint="clip"),
        )
        return Workspace.feature_identity(workspace_stub)

    monkeypatch.setattr(workspace, "plugin_code", lambda backbone: None)

    assert identity("cpu", "fp32") == identity("cpu", "bf16") == ("clip",)
    assert identity("cuda:0", "tf32") == ("clip", "card of cuda:0", "tf32")
    assert identity("cuda:0", "bf16") == ("clip", "card of cuda:0", "bf16")
    monkeypatch.setattr(workspace, "plugin_code", lambda backbone: "edited")
    assert identity("cpu", "fp32") == ("clip", "edited")
    assert identity("cuda:0", "bf16") == ("clip", "edited", "card of cuda:0", "bf16")
