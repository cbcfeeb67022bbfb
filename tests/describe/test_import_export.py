from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latte.describe import import_export
from latte.describe.import_export import Exported, Format, Imported, export_texts, import_texts
from latte.describe.inventory import Archive
from latte.describe.store import DescriptionStore, StoredText, request_key
from latte.interfaces import LatteError, RecipeErrors
from latte.io.files import digest

FORMATS: tuple[Format, ...] = ("jsonl", "parquet")


@pytest.fixture(params=FORMATS)
def format_(request: pytest.FixtureRequest) -> Format:
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="needs latte-clip[parquet]")
    return request.param  # type: ignore[no-any-return]


def image(name: str) -> str:
    return digest(name)


def record(
    *names: str, text: str | None = "a text", layout: str = "single", **about: Any
) -> StoredText:
    images = tuple(map(image, names))
    draft = StoredText("", text, None, "llava", "What?", images, layout, **about)
    key = request_key(images, draft.prompt, draft.describer, layout, draft.sample)
    return replace(draft, key=key)


ANSWERS = (
    record("a", text="eins \N{SNOWMAN} „zwei“"),
    record("a", text="another sample", sample=1),
    record("a", "b", layout="separate"),
    record("b", "a", layout="grid-1", text="a grid"),
    replace(record("c", text=None, refused=True), failure="filter"),
)
FAILURE = replace(record("d", text=None), failure="timeout")


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "filled"
    with DescriptionStore(folder) as store:
        store.put_many([*ANSWERS, FAILURE])
    return folder


def export(
    folder: Path,
    path: Path,
    format_: Format = "jsonl",
    wanted: Callable[[StoredText], bool] = lambda _: True,
) -> Exported:
    return export_texts(Archive(folder), path, format_, wanted)


def contents(folder: Path) -> set[StoredText]:
    return {one.record for one in Archive(folder).texts()}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(one: StoredText = ANSWERS[0], **changes: Any) -> dict[str, Any]:
    return {**json.loads(one.line()), **changes}


def test_an_export_brings_every_answer_into_another_store(
    filled: Path, tmp_path: Path, format_: Format
) -> None:
    path, other = tmp_path / "texts", tmp_path / "other"
    assert export(filled, path, format_) == Exported(texts=4, refused=1, left_out=0)
    assert import_texts(other, [path]) == Imported(new=5, kept=0, refused=1, failed=0)
    assert contents(other) == set(ANSWERS)
    assert import_texts(other, [path, path]) == Imported(new=0, kept=10, refused=0, failed=0)


def test_an_export_can_be_a_part(filled: Path, tmp_path: Path) -> None:
    done = export(filled, tmp_path / "x", wanted=lambda one: len(one.images) == 2)
    assert (done.texts, done.refused) == (2, 0)


def test_a_part_of_a_store_can_be_imported_as_it_is(filled: Path, tmp_path: Path) -> None:
    done = import_texts(tmp_path / "other", list(filled.glob("part-*.jsonl")))
    assert done == Imported(new=5, kept=0, refused=1, failed=1)


def test_texts_that_are_there_are_kept(tmp_path: Path) -> None:
    folder, mine = tmp_path / "store", replace(ANSWERS[0], text="mine")
    refused = replace(record("e", text=None, refused=True), failure="filter")
    with DescriptionStore(folder) as store:
        store.put_many([mine, refused, FAILURE])
    path = written(
        tmp_path / "x.jsonl",
        row(ANSWERS[0]),
        row(replace(ANSWERS[0], text=None, refused=True)),
        row(record("e", text="an answer after all")),
        row(record("d", text="it works now")),
    )
    assert import_texts(folder, [path]) == Imported(new=2, kept=2, refused=0, failed=0)
    store = DescriptionStore(folder)
    assert store.get(mine.key) == "mine"
    assert store.get(refused.key) == "an answer after all"
    assert store.get(FAILURE.key) == "it works now"


def test_of_two_lines_about_one_request_the_text_is_taken(tmp_path: Path) -> None:
    lines = [row(record("e", text=None, refused=True)), row(record("e")), row(record("e"))]
    done = import_texts(tmp_path / "store", [written(tmp_path / "x.jsonl", *lines)])
    assert (done.new, done.refused) == (1, 0)
    assert DescriptionStore(tmp_path / "store").get(record("e").key) == "a text"


def test_a_record_whose_key_is_not_its_own_is_not_exported(tmp_path: Path) -> None:
    with DescriptionStore(tmp_path / "store") as store:
        store.put_many([replace(ANSWERS[0], key="0" * 32), ANSWERS[2]])
    assert export(tmp_path / "store", tmp_path / "x") == Exported(1, 0, left_out=1)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row(schema=2), "`schema`"),
        (row(txt="a"), "`txt`: Extra inputs"),
        (row(images=[]), "`key` does not follow"),
        (row(images=["photos/a.jpg"]), "`images.0`"),
        (row(images=image("a")), "`images`"),
        (row(sample=-1), "`sample`"),
        (row(sample="0"), "`sample`"),
        (row(layout="grid-7"), "`layout`"),
        (row(describer=""), "`describer`"),
        (row(refused=True), "`refused`"),
        (row(text=""), "`text` is not one printable line"),
        (row(text="two\nlines"), "`text` is not one printable line"),
        (row(text="x" * 601), "`text` is not one printable line"),
        (row(prompt="Who?"), "`key` does not follow"),
        (row(describer="other"), "`key` does not follow"),
        (row(images=[image("z")]), "`key` does not follow"),
        (row(sample=3), "`key` does not follow"),
        (row(key="0" * 32), "`key` does not follow"),
        (row(key=None), "`key`"),
        (row(ANSWERS[2], layout=None), "`layout`"),
        (row(ANSWERS[2], layout="single"), "`key` does not follow"),
        (["a", "list"], "valid dictionary"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_nothing_is_imported(
    tmp_path: Path, bad: Any, words: str
) -> None:
    good = written(tmp_path / "good.jsonl", row(ANSWERS[1]))
    path = written(tmp_path / "bad.jsonl", row(ANSWERS[2]), bad, row(ANSWERS[3]))
    with pytest.raises(RecipeErrors) as caught:
        import_texts(tmp_path / "store", [good, path])
    first, *rest = caught.value.errors
    assert (first.where, len(rest)) == (f"{path}:2", 1)
    assert words in first.what
    assert not (tmp_path / "store").exists()


def test_import_errors_are_limited_in_number(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a line\n" * 100)
    with pytest.raises(RecipeErrors) as caught:
        import_texts(tmp_path / "store", [path])
    assert len(caught.value.errors) == import_export.MAX_MISTAKES + 1
    assert "not JSON" in caught.value.errors[0].what
    assert "there may be more" in caught.value.errors[-1].what


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path, filled: Path) -> None:
    with pytest.raises(LatteError, match="cannot be read: No such file") as caught:
        import_texts(tmp_path / "store", [tmp_path / "absent.jsonl"])
    assert caught.value.where == str(tmp_path / "absent.jsonl")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LatteError, match="cannot be written"):
        export(filled, tmp_path / "file" / "x")
    with pytest.raises(LatteError, match="cannot be written"):
        import_texts(tmp_path / "file", [next(filled.iterdir())])


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs latte-clip[parquet]")
    (tmp_path / "x").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(LatteError, match="not a Parquet file"):
        import_texts(tmp_path / "store", [tmp_path / "x"])


def test_without_pyarrow_the_command_that_installs_it_is_named(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LatteError, match="pyarrow") as caught:
        export(filled, tmp_path / "x", "parquet")
    assert "pip install 'latte-clip[parquet]'" in str(caught.value.hint)
    assert not (tmp_path / "x").exists()
