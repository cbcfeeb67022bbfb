from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.describe import store as store_module
from latte.describe.store import DescriptionStore, StoredText, request_key
from latte.interfaces import LatteError


def text(key: str, value: str = "a text") -> StoredText:
    return StoredText(key, value, describer="d", prompt="p", images=("i",))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.jsonl"))


def test_stored_texts_are_there_after_reopening(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path) as store:
        store.put_many([text("k1", "eins"), text("k2", "zwei „\N{SNOWMAN}“")])
        assert store.get("k1") == "eins"
    reopened = DescriptionStore(tmp_path)
    assert (reopened.get("k1"), reopened.get("k2"), reopened.get("k3")) == (
        "eins",
        "zwei „\N{SNOWMAN}“",
        None,
    )
    assert (len(reopened), reopened.skipped_lines) == (2, 0)


def test_opening_and_reading_writes_nothing(tmp_path: Path) -> None:
    DescriptionStore(tmp_path / "new").close()
    assert not (tmp_path / "new").exists()


def test_a_key_keeps_its_first_text(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path) as store:
        store.put_many([text("k", "first")])
        store.put_many([text("k", "second")])
        assert store.get("k") == "first"
    (part,) = parts(tmp_path)
    assert len(part.read_text().splitlines()) == 1


def test_same_text_is_served_if_two_processes_stored_one_each(tmp_path: Path) -> None:
    (tmp_path / "part-b.jsonl").write_bytes(text("k", "from b").line())
    (tmp_path / "part-a.jsonl").write_bytes(text("k", "from a").line())
    assert DescriptionStore(tmp_path).get("k") == "from a"


def test_a_part_file_copied_from_another_store_answers_its_requests(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path / "theirs") as store:
        store.put_many([text("k1"), refusal("k2")])
    with DescriptionStore(tmp_path / "mine") as store:
        store.put_many([text("k3")])
        for part in parts(tmp_path / "theirs"):
            shutil.copy(part, tmp_path / "mine")
        store.refresh()
        assert (store.get("k1"), store.refusal("k2"), len(store)) == ("a text", "filter", 2)


def test_records_hold_prompt_images_and_describer(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path) as store:
        store.put_many([StoredText("k", "t", None, "llava", "What?", ("h1", "h2"))])
    assert json.loads(parts(tmp_path)[0].read_text()) == {
        "schema": 1,
        "key": "k",
        "text": "t",
        "failure": None,
        "describer": "llava",
        "prompt": "What?",
        "images": ["h1", "h2"],
        "layout": "",
        "sample": 0,
        "refused": False,
    }


def test_failures_are_stored_but_not_served(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path) as store:
        store.put_many([StoredText("k", None, "too dark")])
    with DescriptionStore(tmp_path) as store:
        assert (store.get("k"), store.failure("k"), len(store)) == (None, "too dark", 0)
        store.put_many([text("k", "after all")])
        assert (store.get("k"), store.failure("k")) == ("after all", None)
    assert DescriptionStore(tmp_path).get("k") == "after all"


def refusal(key: str, reason: str = "filter") -> StoredText:
    return StoredText(key, None, reason, refused=True)


def test_refusals_and_failures_are_distinct(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path) as store:
        store.put_many([refusal("k1"), StoredText("k2", None, "timeout")])
    reopened = DescriptionStore(tmp_path)
    assert (reopened.refusal("k1"), reopened.refusal("k2")) == ("filter", None)
    assert (reopened.failure("k1"), reopened.failure("k2")) == ("filter", "timeout")
    assert (reopened.get("k1"), len(reopened)) == (None, 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_text_precedes_refusal_and_refusal_precedes_failure(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    """In one file or two, and in every order."""
    records = [text("k1"), refusal("k1"), StoredText("k1", None, "down")]
    records += [refusal("k2"), StoredText("k2", None, "down"), StoredText("k3", None, "down")]
    for number, place in enumerate(order):
        lines = b"".join(record.line() for record in records[place::3])
        (tmp_path / f"part-{number}.jsonl").write_bytes(lines)
    (tmp_path / "part-z.jsonl").write_bytes(records[4].line() + records[3].line())
    store = DescriptionStore(tmp_path)
    assert (store.get("k1"), store.refusal("k1"), store.failure("k1")) == ("a text", None, None)
    assert (store.get("k2"), store.refusal("k2")) == (None, "filter")
    assert (store.refusal("k3"), store.failure("k3")) == (None, "down")


def test_refresh_reads_only_new_bytes_of_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    real = store_module.parse_line

    def parse(line: bytes) -> StoredText | None:
        read.append(line)
        return real(line)

    with DescriptionStore(tmp_path) as store, DescriptionStore(tmp_path) as other_store:
        other_store.put_many([text("k1")])
        store.put_many([text("k2")])
        store.refresh()
        monkeypatch.setattr(store_module, "parse_line", parse)
        assert store.get("k1") == "a text"
        other_store.put_many([text("k3"), refusal("k4")])
        store.refresh()
        store.refresh()
        assert (store.get("k3"), store.refusal("k4")) == ("a text", "filter")
        assert read == [text("k3").line(), refusal("k4").line()]


def test_refresh_waits_for_a_line_that_is_being_written(tmp_path: Path) -> None:
    part, line = tmp_path / "part-other.jsonl", text("k2").line()
    part.write_bytes(text("k1").line() + line[:30])
    store = DescriptionStore(tmp_path)
    store.refresh()
    assert (store.get("k1"), store.get("k2")) == ("a text", None)
    with part.open("ab") as file:
        file.write(line[30:])
    store.refresh()
    assert (store.get("k2"), store.skipped_lines) == ("a text", 0)


def test_a_torn_last_line_is_dropped_and_never_appended_to(tmp_path: Path) -> None:
    torn = tmp_path / "part-old.jsonl"
    torn.write_bytes(text("k1").line() + text("k2").line()[:-20])
    with DescriptionStore(tmp_path) as store:
        assert (len(store), store.get("k2"), store.skipped_lines) == (1, None, 0)
        torn_bytes = torn.read_bytes()
        store.put_many([text("k2")])
    assert torn.read_bytes() == torn_bytes
    assert len(DescriptionStore(tmp_path)) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\x00\x00\n",
        b"{\n",
        b"[]\n",
        b'"text"\n',
        b"\xff\xfe\n",
        b'{"schema": 1, "key": 3, "text": "t"}\n',
        b'{"schema": 1, "key": "k", "text": ["t"]}\n',
        b'{"schema": 1, "text": "t"}\n',
        b'{"schema": 2, "key": "k", "text": "t"}\n',
        b'{"schema": 1, "key": "k", "text": "two\\nlines"}\n',
        b'{"schema": 1, "key": "k", "text": "\\u001b[2J"}\n',
        b'{"schema": 1, "key": "k", "text": "a lone surrogate \\ud800"}\n',
        b'{"schema": 1, "key": "k", "text": "%s"}\n' % (b"x" * 601),
        b"[" * 100_000 + b"\n",
    ],
)
def test_damaged_lines_are_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "part-x.jsonl").write_bytes(text("k1").line() + line + text("k2").line())
    store = DescriptionStore(tmp_path)
    assert (len(store), store.skipped_lines) == (2, 1)
    assert store.get("k") is None


def test_each_batch_is_synced_before_put_many_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    with DescriptionStore(tmp_path) as store:
        store.put_many([text("k0")])
        monkeypatch.setattr(os, "fsync", fsync)
        store.put_many([text("k1"), text("k2")])
        assert synced == [parts(tmp_path)[0].stat().st_size]


def test_full_disk_error_names_the_fix_and_keeps_stored_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DescriptionStore(tmp_path)
    store.put_many([text("k1")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_space)
        with pytest.raises(LatteError, match="No space left") as caught:
            store.put_many([text("k2")])
    assert caught.value.where == str(tmp_path)
    assert "safe" in str(caught.value.hint)
    assert store.get("k2") is None
    store.put_many([text("k3")])
    assert len(parts(tmp_path)) == 2, "the damaged file is not appended to"
    assert DescriptionStore(tmp_path).get("k1") == "a text"


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


request = {
    "images": st.lists(st.text(max_size=4), min_size=1, max_size=4),
    "prompt": st.text(max_size=6),
    "fingerprint": st.text(max_size=6),
    "layout": st.sampled_from(["single", "separate", "grid"]),
    "sample": st.integers(0, 2),
}


@given(st.fixed_dictionaries(request), st.fixed_dictionaries(request))
def test_keys_are_equal_exactly_for_equal_requests(
    left: dict[str, object], right: dict[str, object]
) -> None:
    assert (request_key(**left) == request_key(**right)) == (left == right)  # type: ignore[arg-type]


def test_keys_separate_their_fields() -> None:
    assert request_key(["ab", "c"], "p", "f", "l") != request_key(["a", "bc"], "p", "f", "l")
    assert request_key(["a"], "fp", "", "l") != request_key(["a"], "p", "f", "l")
    assert request_key(["a", "b"], "p", "f", "l") != request_key(["b", "a"], "p", "f", "l")
