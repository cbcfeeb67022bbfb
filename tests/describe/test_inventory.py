from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latte.describe.inventory import Archive, holdings, statistics
from latte.describe.store import DescriptionStore, StoredText


def text(key: str, value: str = "a text", describer: str = "d", prompt: str = "p") -> StoredText:
    return StoredText(key, value, None, describer, prompt, ("i",))


def write_part(folder: Path, name: str, *records: StoredText, after: bytes = b"") -> Path:
    path = folder / f"part-{name}.jsonl"
    path.write_bytes(b"".join(record.line() for record in records) + after)
    return path


ANSWERS = st.one_of(
    st.builds(lambda n: ("text", n), st.integers(0, 3)),
    st.just(("refused", 0)),
    st.just(("failed", 0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), ANSWERS), max_size=5), max_size=4))
def test_archive_yields_the_record_that_the_store_serves_per_key(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[str, tuple[str, int]]]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    for number, part in enumerate(parts):
        records = [
            StoredText(
                key, f"text {n}" if kind == "text" else None, kind, refused=kind == "refused"
            )
            for key, (kind, n) in part
        ]
        write_part(folder, str(number), *records)
    store = DescriptionStore(folder)
    found = [one.record for one in Archive(folder).texts()]
    assert sorted(record.key for record in found) == sorted(
        {key for part in parts for key, _ in part}
    )
    for record in found:
        assert record.text == store.get(record.key)
        assert record.refused == (store.refusal(record.key) is not None)


def test_holdings_are_counted_by_describer_and_prompt(tmp_path: Path) -> None:
    write_part(
        tmp_path, "a", text("1"), text("2"), StoredText("3", None, "x", "d", "p", refused=True)
    )
    os.utime(write_part(tmp_path, "b", text("4", prompt="q"), text("1")), (0, 1e9))
    write_part(tmp_path, "c", StoredText("5", None, "x", "c", "p"))
    found = [
        (h.describer, h.prompt, h.texts, h.refused, h.failed) for h in holdings(Archive(tmp_path))
    ]
    assert found == [("c", "p", 0, 0, 1), ("d", "p", 2, 1, 0), ("d", "q", 1, 0, 0)]
    newest = {h.prompt: h.newest for h in holdings(Archive(tmp_path)) if h.describer == "d"}
    assert newest["q"] == 1e9 < newest["p"]


def test_statistics_count_words_repetitions_and_damage(tmp_path: Path) -> None:
    texts = [text("1", "a b c"), text("2", "a"), text("3", "a"), text("4", "a b c d e f")]
    write_part(tmp_path, "a", *texts, StoredText("5", None, "x", refused=True), after=b"{bad}\n")
    write_part(tmp_path, "b", StoredText("6", None, "x"), after=b'{"schema"')
    write_part(tmp_path, "c")
    found = statistics(Archive(tmp_path))
    assert (found.texts, found.refused, found.failed) == (4, 1, 1)
    assert (found.mean_words, found.median_words, found.max_words) == (2.75, 2.0, 6)
    assert found.duplicate_share == 0.25
    assert (found.files, found.torn_lines, found.unreadable_lines) == (3, 1, 1)
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_missing_store_is_empty(tmp_path: Path) -> None:
    found = statistics(Archive(tmp_path / "none"))
    assert (found.texts, found.mean_words, found.duplicate_share, found.files) == (0, None, None, 0)
    assert holdings(Archive(tmp_path / "none")) == []
