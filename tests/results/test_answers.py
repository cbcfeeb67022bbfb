"""`review.jsonl`: answers survive kills, and those about drawn images measure."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import LatteError
from latte.results import answers
from latte.results.answers import (
    UNSEEN,
    Answer,
    ParsedAnswers,
    append_answers,
    latest,
    measuring,
    read_answers,
    write_answers,
)
from tests.helpers.property_inputs import QUICKLY

ONE = Answer("k1", "class", "cat", "evidence", "demo", "2026-01-01T00:00:00+00:00")


def test_answers_are_read_back(tmp_path: Path) -> None:
    odd_answer = replace(ONE, key="k2", label='a "quoted"\nname \u2028')
    append_answers(tmp_path / "review.jsonl", [ONE, odd_answer])
    append_answers(tmp_path / "review.jsonl", [replace(ONE, key="k3")])
    assert [read.key for read in read_answers(tmp_path / "review.jsonl")] == ["k1", "k2", "k3"]
    assert read_answers(tmp_path / "review.jsonl")[1] == odd_answer
    assert read_answers(tmp_path / "missing.jsonl") == []


def test_half_a_line_of_a_killed_process_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    append_answers(path, [ONE, replace(ONE, key="k2")])
    for size in range(1, 60):
        path.write_bytes(path.read_bytes()[:-1])
        append_answers(path, [replace(ONE, key=f"after {size}")])
        assert [read.key for read in read_answers(path)][-1] == f"after {size}"
        path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0])


def test_a_file_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    append_answers(path, [ONE])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    append_answers(path, [replace(ONE, key="k2")])
    assert read_answers(path) == [ONE, replace(ONE, key="k2")]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    append_answers(path, [ONE])
    path.write_bytes(path.read_bytes() + b'{"key": 3}\n')
    with pytest.raises(LatteError) as caught:
        read_answers(path)
    assert caught.value.where == f"{path}:2"


def test_the_last_answer_counts_and_undo_removes_it() -> None:
    none = replace(ONE, kind="none", label=None)
    assert latest([ONE, none]) == {"k1": none}
    assert latest([ONE, replace(ONE, kind="undo", label=None)]) == {}


def test_images_that_were_drawn_measure_with_their_newest_answer() -> None:
    grouped = replace(ONE, key="k2", queue="clusters")
    corrected = replace(ONE, label="dog", queue="images")
    assert measuring([ONE, grouped, corrected]) == {"k1": corrected, "k2": grouped}
    assert measuring([grouped]) == {}
    left_out = replace(grouped, kind="unsure", label=None)
    assert measuring([ONE, left_out]) == {"k1": ONE}
    assert measuring([ONE, replace(grouped, queue=UNSEEN)]) == {"k1": ONE}
    assert measuring([grouped, replace(grouped, queue="evidence")]).keys() == {"k2"}
    assert measuring([ONE, replace(ONE, kind="undo", label=None), grouped]) == {}


@pytest.mark.thorough
def test_processes_that_append_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    program = (
        "import sys; from pathlib import Path\n"
        "from latte.results.answers import Answer, append_answers\n"
        "for i in range(100):\n"
        "    append_answers(Path(sys.argv[1]), [Answer(f'{sys.argv[2]}-{i}', 'none', None,"
        " 'evidence', 'demo', '')])\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(number)])
        for number in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    keys = [read.key for read in read_answers(path)]
    assert sorted(keys) == sorted(f"{n}-{i}" for n in range(3) for i in range(100))


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "cut", "edit", "unfinished", "replace"]),
        st.integers(0, 3),
        st.integers(0, 400),
    ),
    max_size=12,
)
"""Changes of a file by two writers and an editor: kind, which image, and a place in the file."""


def change(path: Path, kind: str, image: int, place: int) -> None:
    """Append an answer, or do to the file what an editor or a kill does."""
    answer = replace(ONE, key=f"k{image}", label="cat" if place % 2 else "a longer name")
    content = path.read_bytes() if path.exists() else b""
    if kind == "append":
        append_answers(path, [answer] * (1 + place % 2))
    elif kind == "cut":
        path.write_bytes(content[: content.rfind(b"\n", 0, place) + 1])
    elif kind == "edit":
        path.write_bytes(content.replace(b'"cat"', b'"dog"', 1 + place % 3) + b"\n")
    elif kind == "unfinished":
        path.write_bytes(content + b"\n" + json.dumps(asdict(answer)).encode()[:place])
    else:
        path.unlink(missing_ok=True)
        append_answers(path, [answer])


@QUICKLY
@given(CHANGES)
def test_answers_in_memory_are_those_of_a_fresh_read_after_any_changes(
    changes: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "review.jsonl"
        append_answers(path, [ONE])
        kept = ParsedAnswers(path)
        for kind, image, place in changes:
            change(path, kind, image, place)
            assert kept.read() == ParsedAnswers(path).read()


def test_only_appended_lines_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, numbers = tmp_path / "review.jsonl", list[int]()
    append_answers(path, [ONE] * 3)
    assert len(read_answers(path)) == 3
    parse = answers._answer_in

    def counted(line: bytes, path: Path, number: int) -> Answer | None:
        numbers.append(number)
        return parse(line, path, number)

    monkeypatch.setattr(answers, "_answer_in", counted)
    append_answers(path, [replace(ONE, key="k2")])
    assert len(read_answers(path)) == 4
    assert min(numbers) == 4


def test_answers_of_a_model_replace_those_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model_answers.jsonl"
    answers = [
        Answer(f"key {number}", "class", "red", "model", "run", "", by="lmm-1", reliability=0.8)
        for number in range(3)
    ]
    for written in (answers, answers[1:]):
        write_answers(path, written)
        assert read_answers(path) == written
    write_answers(path, [])
    assert not path.exists()


def test_an_answer_without_a_reliability_is_certain_and_of_a_person(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    line = {"key": "k", "kind": "class", "label": "red", "queue": "q", "run": "r", "time": ""}
    path.write_text(f"{json.dumps(line)}\n")
    (answer,) = read_answers(path)
    assert (answer.reliability, answer.by) == (1, "")


@pytest.mark.parametrize("reliability", ["NaN", "1.01", "-0.1", "1e999", '"0.5"', "null"])
def test_a_reliability_that_is_no_probability_is_refused(tmp_path: Path, reliability: str) -> None:
    path = tmp_path / "model_answers.jsonl"
    line = '{"key": "k", "kind": "class", "label": "red", "queue": "q", "run": "r", "time": "t", '
    path.write_text(f'{line}"reliability": {reliability}}}\n')
    with pytest.raises(LatteError) as caught:
        read_answers(path)
    assert str(path) in str(caught.value.where)
