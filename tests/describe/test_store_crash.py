"""Stored texts survive kill -9 and a limit of file sizes, and several processes can write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from latte.describe.shards import Shard
from latte.describe.store import DescriptionStore

pytestmark = pytest.mark.thorough

WRITER = """
import sys
from pathlib import Path
from latte.describe.store import DescriptionStore, StoredText
from latte.interfaces import LatteError

folder, prefix, total, limit = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
batch = 7
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
with DescriptionStore(folder) as store:
    print("open", flush=True)
    todo = [key for key in (f"{prefix}{i}" for i in range(total)) if store.get(key) is None]
    for at in range(0, len(todo), batch):
        keys = todo[at : at + batch]
        try:
            store.put_many([StoredText(key, f"text of {key}." * 9) for key in keys])
        except LatteError as error:
            print(error)
            sys.exit(1)
        print(*keys, flush=True)
"""
LIMIT = 20_000
"""Bytes of the largest file that a writer may write."""


def start(folder: Path, prefix: str, total: int, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), prefix, str(total), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def written(folder: Path) -> list[str]:
    """Read the key of every complete record in every file, without latte."""
    keys = []
    for part in folder.glob("part-*.jsonl"):
        lines = part.read_bytes().split(b"\n")
        keys += [json.loads(line)["key"] for line in lines[:-1]]
    return keys


def test_stored_texts_survive_kill(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for kill in range(6):
        writer = start(tmp_path, "k", 100_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        for _ in range(3):
            acknowledged.update(writer.stdout.readline().split())
        time.sleep(0.001 * kill)
        writer.kill()
        acknowledged.update(writer.communicate()[0].split())
        store = DescriptionStore(tmp_path)
        assert all(store.get(key) == f"text of {key}." * 9 for key in acknowledged)
        assert store.skipped_lines == 0
    assert len(acknowledged) >= 6 * 3 * 7

    restarted = start(tmp_path, "k", len(acknowledged) + 50)
    restarted.communicate()
    assert restarted.returncode == 0
    assert set(Counter(written(tmp_path)).values()) == {1}, "a text was written twice"
    assert len(DescriptionStore(tmp_path)) >= len(acknowledged) + 50


def test_two_processes_write_concurrently(tmp_path: Path) -> None:
    writers = [start(tmp_path, prefix, 300) for prefix in "ab"]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    store = DescriptionStore(tmp_path)
    assert (len(store), store.skipped_lines) == (600, 0)
    assert len(list(tmp_path.glob("part-*.jsonl"))) == 2


@pytest.mark.skipif(find_spec("resource") is None, reason="Unix alone has limits of this kind")
def test_file_size_limit_error_keeps_stored_texts(tmp_path: Path) -> None:
    """The run continues once the limit is lifted."""
    writer = start(tmp_path, "k", 200, LIMIT)
    printed = writer.communicate()[0]
    assert writer.returncode == 1
    assert "descriptions cannot be written" in printed
    assert "allow larger files (ulimit -f) and run again" in printed
    (part,) = tmp_path.glob("part-*.jsonl")
    assert part.stat().st_size == LIMIT, "the limit was not met"
    store = DescriptionStore(tmp_path)
    acknowledged = re.findall(r"\bk\d+", printed)
    assert 30 < len(acknowledged) < 200
    assert all(store.get(key) == f"text of {key}." * 9 for key in acknowledged)
    assert store.skipped_lines == 0

    torn_bytes = part.read_bytes()
    restarted = start(tmp_path, "k", 200)
    printed = restarted.communicate()[0]
    assert restarted.returncode == 0
    assert part.read_bytes() == torn_bytes, "a torn file was appended to"
    assert not set(printed.split()) & set(acknowledged)
    assert len(DescriptionStore(tmp_path)) == 200


WORKER = """
import sys, time
from pathlib import Path
from latte.describe.shards import Shard
from latte.describe.store import DescriptionStore, StoredText

folder, shard, total, batch = Path(sys.argv[1]), Shard.parse(sys.argv[2]), int(sys.argv[3]), 5
with DescriptionStore(folder) as store:
    mine = [key for key in (f"k{i}" for i in range(total)) if shard.holds(key)]
    todo = [key for key in mine if store.get(key) is None]
    for at in range(0, len(todo), batch):
        keys = todo[at : at + batch]
        print(*keys, flush=True)
        time.sleep(0.002)
        store.put_many([StoredText(key, f"text of {key}." * 9) for key in keys])
"""


def start_worker(folder: Path, shard: Shard, total: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(shard), str(total)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_after_killing_a_shard_only_its_open_batch_is_asked_again(
    tmp_path: Path,
) -> None:
    """Three shards finish the work, and find all texts that the first two stored."""
    total = 600
    victim, survivor = (start_worker(tmp_path, Shard(i, 2), total) for i in (1, 2))
    assert victim.stdout is not None
    begun = [victim.stdout.readline().split() for _ in range(4)]
    victim.kill()
    begun += [line.split() for line in victim.communicate()[0].splitlines()]
    ask_counts = Counter(key for batch in begun for key in batch)
    ask_counts.update(survivor.communicate()[0].split())
    assert survivor.returncode == 0
    assert max(ask_counts.values()) == 1
    assert len(ask_counts) < total, "the worker was killed too late"

    workers = [start_worker(tmp_path, Shard(i, 3), total) for i in (1, 2, 3)]
    for worker in workers:
        ask_counts.update(worker.communicate()[0].split())
        assert worker.returncode == 0
    assert {key for key, times in ask_counts.items() if times > 1} <= set(begun[-1])
    assert len(ask_counts) == total
    store = DescriptionStore(tmp_path)
    assert all(store.get(key) == f"text of {key}." * 9 for key in ask_counts)
    assert store.skipped_lines == 0
