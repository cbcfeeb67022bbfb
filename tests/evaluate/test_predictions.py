"""Predictions: scores, order, files that other programs read, and images of no class."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latte.evaluate.predictions import (
    NO_LABEL,
    NONE_OF_THESE,
    ClassScore,
    Columns,
    Prediction,
    PredictionFormat,
    predict_rows,
    stream_predictions,
    with_unknown,
    write_predictions,
)

HEADER = "image,source,match,class_1,score_1,class_2,score_2\n"
NAMES = ("cat", 'dog, "big"', "Übel\nzeile")
SIMILARITIES = torch.tensor([[0.1, 0.3, 0.2], [0.5, 0.0, 0.0]])
ROWS = [
    Prediction("a/1.jpg", (ClassScore(NAMES[1], 0.75, 1), ClassScore(NAMES[2], 0.1234567, 2))),
    Prediction("b, c.jpg", (ClassScore("cat", 1.0, 0), ClassScore(NAMES[1], 0.0, 1))),
]


def test_scores_are_softmax_probabilities_of_scaled_similarities() -> None:
    rows = predict_rows(["a", "b"], SIMILARITIES, NAMES, logit_scale=10.0, top_k=2)
    assert [row.image for row in rows] == ["a", "b"]
    assert (rows[0].label, rows[0].name) == (1, NAMES[1])
    assert rows[0].confidence == rows[0].classes[0].score
    assert [option.name for option in rows[0].classes] == [NAMES[1], NAMES[2]]
    total = math.exp(1) + math.exp(3) + math.exp(2)
    expected = [math.exp(3) / total, math.exp(2) / total]
    assert [option.score for option in rows[0].classes] == pytest.approx(expected)
    assert rows[1].classes[0] == ClassScore("cat", pytest.approx(1 / (1 + 2 * math.exp(-5))), 0)


def test_top_k_above_the_number_of_classes_gives_all() -> None:
    rows = predict_rows(["a", "b"], SIMILARITIES, NAMES, logit_scale=10.0, top_k=9)
    assert [len(row.classes) for row in rows] == [3, 3]
    assert sum(option.score for option in rows[0].classes) == pytest.approx(1)


def test_csv_quotes_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "out" / "predictions.csv"
    write_predictions(path, ROWS)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "source", "class_1", "score_1", "class_2", "score_2"]
    assert rows[0]["class_2"] == NAMES[2]
    assert rows[0]["score_2"] == "0.123457"
    assert rows[1]["image"] == "b, c.jpg"
    assert rows[1]["class_2"] == NAMES[1]


def test_source_column_and_short_rows(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    short = replace(ROWS[0], classes=ROWS[0].classes[:1], source="own", true_class="fox")
    columns = Columns(classes=2, source=True, true_class=True)
    write_predictions(path, [short, ROWS[1]], columns=columns)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    about = ["image", "source", "true_class"]
    assert list(rows[0]) == [*about, "class_1", "score_1", "class_2", "score_2"]
    assert [row["true_class"] for row in rows] == ["fox", ""]
    assert [row["source"] for row in rows] == ["own", "classifier"]
    assert (rows[0]["class_1"], rows[0]["class_2"], rows[0]["score_2"]) == (NAMES[1], "", "")
    stream = io.StringIO()
    stream_predictions(stream, [short], "jsonl", Columns(source=True))
    assert json.loads(stream.getvalue())["source"] == "own"


@pytest.mark.parametrize(("form", "written"), [("csv", HEADER), ("jsonl", "")])
def test_file_without_rows_has_the_header(form: PredictionFormat, written: str) -> None:
    stream = io.StringIO()
    stream_predictions(stream, [], form, Columns(classes=2, match=True))
    assert stream.getvalue() == written


def test_match_column_is_empty_for_rows_without_match() -> None:
    rows = [replace(ROWS[0], match=0.1234567), ROWS[1]]
    columns = Columns(classes=1, source=True, match=True)
    csv_rows, jsonl = io.StringIO(), io.StringIO()
    stream_predictions(csv_rows, rows, "csv", columns)
    table = [*csv.DictReader(io.StringIO(csv_rows.getvalue()))]
    assert [*table[0]][:4] == ["image", "source", "match", "class_1"]
    assert [row["match"] for row in table] == ["0.123457", ""]
    stream_predictions(jsonl, rows, "jsonl", columns)
    assert [json.loads(line)["match"] for line in jsonl.getvalue().splitlines()] == [0.123457, None]


def test_jsonl_has_one_object_per_line() -> None:
    stream = io.StringIO()
    stream_predictions(stream, ROWS, "jsonl")
    lines = stream.getvalue().splitlines()
    assert json.loads(lines[0]) == {
        "image": "a/1.jpg",
        "source": "classifier",
        "classes": [
            {"class": NAMES[1], "score": 0.75},
            {"class": NAMES[2], "score": 0.123457},
        ],
    }
    assert len(lines) == 2


def test_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions"
    path.write_text("old")

    def failing() -> Iterator[Prediction]:
        yield ROWS[0]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_predictions(path, failing())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_stream_writes_each_row_before_the_next_is_computed(format_: str) -> None:
    stream = io.StringIO()
    seen: list[str] = []

    def rows() -> Iterator[Prediction]:
        for row in ROWS:
            seen.append(stream.getvalue())
            yield row

    stream_predictions(stream, rows(), format_)  # type: ignore[arg-type]
    assert "a/1.jpg" not in seen[0]
    assert "a/1.jpg" in seen[1]
    assert "b, c.jpg" in stream.getvalue()


WITH_UNSURE = [
    Prediction("sure.jpg", (ClassScore("cat", 0.8, 0), ClassScore("dog", 0.1, 1))),
    Prediction("unsure.jpg", (ClassScore("cat", 0.3, 0), ClassScore("dog", 0.2, 1))),
]


def test_low_score_puts_none_of_them_first() -> None:
    sure, unsure = with_unknown(WITH_UNSURE, 0.5)
    assert sure == WITH_UNSURE[0]
    assert unsure.classes == (ClassScore(NONE_OF_THESE, 0.3, NO_LABEL), ClassScore("cat", 0.3, 0))


def test_own_images_that_answers_call_none_are_none_unless_a_threshold_is_given() -> None:
    likely, unlikely = (replace(ROWS[0], source="own", match=match) for match in (0.6, 0.4))
    other = replace(ROWS[0], match=0.4)
    shown = [row.name for row in with_unknown([likely, unlikely, other], None)]
    assert shown == [NAMES[1], NONE_OF_THESE, NAMES[1]]
    assert [row.name for row in with_unknown([unlikely], 0.3)] == [NAMES[1]]


def test_new_images_are_none_if_answers_taught_the_model() -> None:
    new = replace(ROWS[0], match=0.4)
    (called,) = with_unknown([new], None, knows_none=True)
    assert called.classes[0] == ClassScore(NONE_OF_THESE, 0.6, NO_LABEL)
    (unknown,) = with_unknown([replace(new, match=None)], None, knows_none=True)
    assert unknown.name == NAMES[1]


def test_scores_add_up_to_the_probability_of_any_class() -> None:
    similarities, none = torch.tensor([[0.3, 0.1], [0.1, 0.2]]), torch.tensor([0.2, 0.9])
    rows = predict_rows(["a", "b"], similarities, ["cat", "dog"], logit_scale=9, top_k=2, none=none)
    every = (9 * torch.cat([similarities, none.unsqueeze(1)], dim=1)).softmax(dim=1)
    for row, expected in zip(rows, every, strict=True):
        assert row.match == pytest.approx(1 - float(expected[2]), abs=1e-6)
        assert sum(scored.score for scored in row.classes) == pytest.approx(row.match)
    assert rows[0].confidence == pytest.approx(float(every[0, 0]))


def test_score_at_the_threshold_is_unchanged() -> None:
    assert [*with_unknown(WITH_UNSURE, 0.3)] == WITH_UNSURE


def test_match_of_a_sigmoid_model_decides_before_the_score() -> None:
    similarities, matches = torch.tensor([[0.3, 0.1], [0.1, 0.3]]), torch.tensor([[0.6, 0.9]] * 2)
    rows = predict_rows(
        ["a", "b"], similarities, ["cat", "dog"], logit_scale=9, top_k=2, matches=matches
    )
    assert [row.match for row in rows] == pytest.approx([0.6, 0.9])
    assert min(row.confidence for row in rows) > 0.7
    assert [row.name for row in with_unknown(rows, 0.7)] == [NONE_OF_THESE, "dog"]
