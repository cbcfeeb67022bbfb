"""The lock of a run folder removes temporary files of killed processes."""

from __future__ import annotations

from pathlib import Path

from latte.results.folder import RunFolder

TEMPORARY = ".x.latte-elsewhere-1-0123abcd.tmp"
LEFT = (TEMPORARY, f"model/{TEMPORARY}", f"controls/plain/c-1/{TEMPORARY}")
KEPT = ("state.tmp", f"shards/1-of-2/{TEMPORARY}", "report/index.html")


def test_lock_removes_temporary_files_except_those_of_shards(tmp_path: Path) -> None:
    for name in (*LEFT, *KEPT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with RunFolder(tmp_path).lock():
        pass
    assert not any((tmp_path / name).exists() for name in LEFT)
    assert all((tmp_path / name).exists() for name in KEPT)
