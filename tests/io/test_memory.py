"""Memory that threads of a run freed is returned to the system."""

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
from latte.io.memory import keep_freed_memory, return_freed_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

def work():
    held = [bytearray(2**20) for _ in range(50)]
    kept.append(bytearray(2**18))  # is above the blocks, which are freed now

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


def test_memory_that_threads_freed_is_returned() -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    kept_mebibytes, returned_mebibytes = map(int, process.stdout.split())
    assert kept_mebibytes > 45
    assert returned_mebibytes < 15
