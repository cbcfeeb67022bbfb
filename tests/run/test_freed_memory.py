"""Memory that a run freed is used again by other threads, and returned after the run."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory"
)

PROGRAM = """
import re
from pathlib import Path
from threading import Thread
from latte.run.process import keep_freed_memory, return_freed_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

def work():
    held = []
    for _ in range(50):
        held += [bytearray(2**20), bytearray(100)]
    kept.append(held[-1])  # lies above the freed blocks

kept = []
assert keep_freed_memory()
start = resident()
for _ in range(4):
    thread = Thread(target=work)
    thread.start()
    thread.join()
print(resident() - start)
return_freed_memory()
print(resident() - start)
"""


def test_threads_share_freed_memory_and_a_finished_run_returns_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, returned = map(int, done.stdout.split())
    assert 45 < kept < 75  # 50 MiB of one thread; 200 MiB if each thread kept its own
    assert returned < 15
