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


def write_part(folder: Path, name: str, *records: StoredText, trailing_bytes: bytes = b"") -> Path:
    path = folder / f"part-{name}.jsonl"
    path.write_bytes(b"".join(record.line() for record in records) + trailing_bytes)
    return path


ANSWERS = st.one_of(
    st.builds(lambda n: ("text", n), st.integers(0, 3)),
    st.just(("refused", 0)),
    st.just(("failed", 0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), ANSWERS), max_size=5), max_size=4))
def test_archive_yields_the_record_that_the_store_serves_per_key(
    tmp_path_factory: pytest.TempPathFactory,
    records_of_files: list[list[tuple[str, tuple[str, int]]]],
) -> None:
    folder = tmp_path_factory.mktemp("store")
    for number, file_records in enumerate(records_of_files):
        records = [
            StoredText(
                key, f"text {n}" if kind == "text" else None, kind, refused=kind == "refused"
            )
            for key, (kind, n) in file_records
        ]
        write_part(folder, str(number), *records)
    store = DescriptionStore(folder)
    served = [served_text.record for served_text in Archive(folder).texts()]
    assert sorted(record.key for record in served) == sorted(
        {key for file_records in records_of_files for key, _ in file_records}
    )
    for record in served:
        assert record.text == store.get(record.key)
        assert record.refused == (store.refusal(record.key) is not None)


def test_holdings_are_counted_by_describer_and_prompt(tmp_path: Path) -> None:
    write_part(
        tmp_path, "a", text("1"), text("2"), StoredText("3", None, "x", "d", "p", refused=True)
    )
    os.utime(write_part(tmp_path, "b", text("4", prompt="q"), text("1")), (0, 1e9))
    write_part(tmp_path, "c", StoredText("5", None, "x", "c", "p"))
    counts = [
        (h.describer, h.prompt, h.texts, h.refused, h.failed) for h in holdings(Archive(tmp_path))
    ]
    assert counts == [("c", "p", 0, 0, 1), ("d", "p", 2, 1, 0), ("d", "q", 1, 0, 0)]
    newest = {h.prompt: h.newest for h in holdings(Archive(tmp_path)) if h.describer == "d"}
    assert newest["q"] == 1e9 < newest["p"]


def test_statistics_count_words_repetitions_and_damage(tmp_path: Path) -> None:
    texts = [text("1", "a b c"), text("2", "a"), text("3", "a"), text("4", "a b c d e f")]
    write_part(
        tmp_path, "a", *texts, StoredText("5", None, "x", refused=True), trailing_bytes=b"{bad}\n"
    )
    write_part(tmp_path, "b", StoredText("6", None, "x"), trailing_bytes=b'{"schema"')
    write_part(tmp_path, "c")
    figures = statistics(Archive(tmp_path))
    assert (figures.texts, figures.refused, figures.failed) == (4, 1, 1)
    assert (figures.mean_words, figures.median_words, figures.max_words) == (2.75, 2.0, 6)
    assert figures.duplicate_share == 0.25
    assert (figures.files, figures.torn_lines, figures.unreadable_lines) == (3, 1, 1)
    assert figures.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_missing_store_is_empty(tmp_path: Path) -> None:
    figures = statistics(Archive(tmp_path / "none"))
    assert (figures.texts, figures.mean_words, figures.duplicate_share, figures.files) == (
        0,
        None,
        None,
        0,
    )
    assert holdings(Archive(tmp_path / "none")) == []
