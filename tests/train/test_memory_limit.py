"""Free memory is the least that the machine and the control groups leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.train.micro_batch import free_memory

GIB = 2**30


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    return write(tmp_path / "meminfo", f"MemTotal: 9 kB\nMemAvailable:   {8 * GIB // 1024} kB\n")


def test_free_memory_without_control_groups_is_that_of_the_machine(
    meminfo: Path, tmp_path: Path
) -> None:
    assert free_memory(meminfo, tmp_path / "none", tmp_path / "groups") == 8 * GIB


def test_free_memory_is_that_of_the_tightest_control_group(meminfo: Path, tmp_path: Path) -> None:
    groups, own = tmp_path / "groups", write(tmp_path / "own", "0::/jobs/mine\n")
    write(groups / "jobs" / "memory.max", f"{4 * GIB}\n")
    write(groups / "jobs" / "memory.current", f"{3 * GIB}\n")
    write(groups / "jobs" / "memory.stat", f"anon 5\ninactive_file {GIB}\n")
    write(groups / "jobs" / "mine" / "memory.max", "max\n")
    write(groups / "jobs" / "mine" / "memory.current", "77\n")
    assert free_memory(meminfo, own, groups) == 2 * GIB


def test_free_memory_reads_control_groups_version_1(meminfo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    own = write(tmp_path / "own", "9:name=systemd:/\n4:memory:/job\n0::/\n")
    write(groups / "memory" / "job" / "memory.limit_in_bytes", f"{5 * GIB}\n")
    write(groups / "memory" / "job" / "memory.usage_in_bytes", f"{2 * GIB}\n")
    write(groups / "memory" / "memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(groups / "memory" / "memory.usage_in_bytes", "1\n")
    assert free_memory(meminfo, own, groups) == 3 * GIB


def test_free_memory_of_a_group_above_its_limit_is_zero(meminfo: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own", "0::/\n")
    write(tmp_path / "groups" / "memory.max", "10\n")
    write(tmp_path / "groups" / "memory.current", "11\n")
    assert free_memory(meminfo, own, tmp_path / "groups") == 0


def test_free_memory_is_none_if_unknown(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert free_memory(nowhere, nowhere, nowhere) is None
