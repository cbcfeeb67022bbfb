"""The summary fits a terminal, in plain characters."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import Interval
from latte.report.terminal import WIDTH, cost_line, evaluation_lines, summary_lines, summary_table
from tests.helpers.report_examples import ADAPTED, CONTROL, ZERO_SHOT, run_results


def test_the_table_has_top1_interval_images_and_gain() -> None:
    assert evaluation_lines((ZERO_SHOT, ADAPTED, CONTROL)) == [
        "                      top-1 %  95 % interval  images  gain (95 % interval)",
        "zero-shot                55.0   50.0 to 60.0     400",
        "adapted                  59.5   54.5 to 64.5     400   +4.5 (+1.2 to +7.8)",
        "without-descriptions     57.0   52.0 to 62.0     400   +2.0 (-1.0 to +5.0)",
    ]


def test_the_verdict_follows_the_table(tmp_path: Path) -> None:
    lines = summary_lines(run_results(tmp_path))
    assert lines[:4] == evaluation_lines((ZERO_SHOT, ADAPTED, CONTROL))
    assert " ".join(lines[5:]) == (
        "Adapting gained 4.5 points: top-1 went from 55.0 % to 59.5 % on 400 labelled images "
        "(95 % interval of the difference +1.2 to +7.8 points)."
    )
    assert summary_table(run_results(tmp_path)) == "\n".join(lines)


def test_without_labels_there_is_no_table(tmp_path: Path) -> None:
    text = summary_table(run_results(tmp_path, evaluations=()))
    assert text.startswith("There is no labelled evaluation split")
    assert "top-1" not in text


@pytest.mark.parametrize("name", ["x" * 300, "猫" * 50, "e\u0301" * 30, "\x1b[31mred\nline"])
def test_any_name_fits_in_80_columns(name: str, tmp_path: Path) -> None:
    odd = replace(CONTROL, name=name, images=1_000_000, gain=Interval(-0.5, -0.999, 0.999))
    lines = summary_lines(run_results(tmp_path, evaluations=(ZERO_SHOT, ADAPTED, odd)))
    assert all(columns(line) <= WIDTH for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert all(line.endswith(("images", "400", ")")) or "(95" in line for line in lines[:4])


def test_nothing_but_names_needs_more_than_ascii(tmp_path: Path) -> None:
    rival = replace(CONTROL, top1=ADAPTED.top1)
    for evaluations in ((), (ZERO_SHOT,), (ZERO_SHOT, ADAPTED, rival)):
        assert summary_table(run_results(tmp_path, evaluations=evaluations)).isascii()


def test_an_oracle_is_marked_below_its_verdict(tmp_path: Path) -> None:
    lines = summary_lines(run_results(tmp_path, recipe={"oracle": True}))
    assert " ".join(lines).endswith(
        "Oracle: group descriptions used ground-truth labels of the training images; "
        "not an unsupervised result."
    )
    assert all(len(line) <= WIDTH for line in lines)


def columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def test_time_and_memory_are_told_as_far_as_they_are_known(tmp_path: Path) -> None:
    known = run_results(tmp_path, peak_memory_mb={"describe": 900.4, "train": 1604.4})
    assert cost_line(known) == "time: 1 h 41 min; peak memory: 1 604 MiB, in stage train"
    assert cost_line(run_results(tmp_path, peak_memory_mb={})) == "time: 1 h 41 min"
    assert cost_line(run_results(tmp_path, seconds={}, peak_memory_mb={})) == ""
