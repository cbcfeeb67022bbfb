"""A real file size limit: stored texts are safe, and the run continues once it is lifted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latte.describe.store import DescriptionStore

resource = pytest.importorskip("resource", reason="limits of this kind exist on Unix alone")

LIMIT = 20_000

WRITER = """
import resource, sys
from pathlib import Path
from latte.describe.store import DescriptionStore, StoredText
from latte.interfaces import LatteError

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
with DescriptionStore(folder) as store:
    todo = [f"k{i}" for i in range(200) if store.get(f"k{i}") is None]
    for at in range(0, len(todo), 7):
        keys = todo[at : at + 7]
        try:
            store.put_many([StoredText(key, f"text of {key}." * 9) for key in keys])
        except LatteError as error:
            sys.exit(str(error))
        print(*keys, flush=True)
"""


def write(folder: Path, limit: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(limit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_file_size_limit_error_keeps_stored_texts(tmp_path: Path) -> None:
    full = write(tmp_path, LIMIT)
    assert full.returncode == 1
    assert "descriptions cannot be written" in full.stderr
    assert "allow larger files (ulimit -f) and run again" in full.stderr
    (part,) = tmp_path.glob("part-*.jsonl")
    assert part.stat().st_size == LIMIT, "the limit was not met"
    store = DescriptionStore(tmp_path)
    acknowledged = full.stdout.split()
    assert 30 < len(acknowledged) < 200
    assert all(store.get(key) == f"text of {key}." * 9 for key in acknowledged)
    assert store.skipped_lines == 0

    before = part.read_bytes()
    rest = write(tmp_path)
    assert rest.returncode == 0
    assert part.read_bytes() == before, "a torn file was appended to"
    assert not set(rest.stdout.split()) & set(acknowledged)
    assert len(DescriptionStore(tmp_path)) == 200
