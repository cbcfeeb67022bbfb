"""Names of repositories of the hub, bounded waiting, and start-up without the hub's library."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import LatteError
from latte.io.hub import HubName, call_within, hub_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:owner/name", HubName("owner/name")),
        ("hf:o/n@main", HubName("o/n", "main")),
        ("hf:some-one/a_b.c-d@v1.0", HubName("some-one/a_b.c-d", "v1.0")),
        ("hf:o/n@refs/pr/1", HubName("o/n", "refs/pr/1")),
        (Path("hf:o/n@main"), HubName("o/n", "main")),
        (PureWindowsPath("hf:o/n"), HubName("o/n")),
    ],
)
def test_names_of_the_hub_are_read_and_written(text: object, name: HubName) -> None:
    assert hub_name(text) == name
    assert str(name) == str(text).replace("\\", "/")


@pytest.mark.parametrize(
    "value", ["runs/a", "hf", "./hf:o/n", "HF:o/n", Path("a"), 3, None, b"hf:"]
)
def test_other_values_are_no_names_of_the_hub(value: object) -> None:
    assert hub_name(value) is None


@pytest.mark.parametrize(
    "text",
    [
        *("hf:", "hf:owner", "hf:/name", "hf:owner/", "hf:../x", "hf:a/..", "hf:a/b/c", "hf:a/b c"),
        *("hf:a/b@", "hf:a/b@../x", "hf:a/b@x/../y", "hf:a/b@/x", "hf:a/b@x//y", "hf:a/b@c@d"),
        *("hf:a--b/c", "hf:a/b--c", "hf:-a/b", "hf:a/b.", "hf:a/.b", "hf:a/b\n", "hf:a/b\0"),
        *("hf:ä/b", "hf:a/" + "b" * 95, "hf://a/b", "hf:a\\b/c", "hf:a/b@\x1b[2J"),
    ],
)
def test_impossible_names_of_the_hub_are_refused(text: str) -> None:
    with pytest.raises(LatteError, match="this names no repository"):
        hub_name(text)


@given(st.text())
def test_no_name_leaves_the_folder_of_its_repository(text: str) -> None:
    try:
        name = hub_name(f"hf:{text}")
    except LatteError:
        return
    assert name is not None and name.repository.count("/") == 1
    parts = [*name.repository.split("/"), *(name.revision or "x").split("/")]
    assert all(part.strip(".") and part.isprintable() and "\\" not in part for part in parts)


def test_only_whole_hashes_are_commits() -> None:
    assert HubName("o/n", COMMIT).is_commit
    assert not any(HubName("o/n", name).is_commit for name in ("main", COMMIT[:-1], None))


def test_calls_return_raise_or_are_given_up() -> None:
    assert call_within(10, lambda: None) is None
    with pytest.raises(KeyError):
        call_within(10, lambda: {}["x"])
    forever, began = threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        call_within(0.05, forever.wait)
    forever.set()
    assert time.monotonic() - began < 60


def test_commands_start_without_the_library_of_the_hub() -> None:
    code = (
        "import sys, latte, latte.cli.predict, latte.cli.finished, latte.io.hub\n"
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
