"""Diagnoses as text and as JSON, also with hostile names."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from latte.interfaces import Interval, Verdict
from latte.report.diagnosis.diagnosis import Diagnoses, Diagnosis, verdict_section
from latte.report.diagnosis.measures import Measure, Measurement, Section
from latte.report.diagnosis.output import as_json, notes, text
from latte.report.sentences import NO_GUARD
from latte.results.summary import Score, read_run
from tests.helpers.comparison_folders import run_folder
from tests.helpers.snapshots import assert_snapshot

HOSTILE = ["<script>alert(1)</script>", "\x1b[31mred", "猫" * 60, "x" * 300, "a\nb", ""]
SURE = Measure("sure", "confidence", "share", "mean probability of the top class")
SPREAD = Measure("spread", "effective rank", "index", "directions; 1: all alike")
DRIFT = Measure("drift", "cosine to the start", "cosine", "1: nothing moved")
VERDICT = Verdict(1.0, "halves of the images agree", {"stability": 0.71})
GAIN = Measure("gain", "gain", "points", "adapted minus zero-shot")


def diagnosis(folder: Path, *, confidence: float = 0.3814, gain: float | None = 0.04) -> Diagnosis:
    run = replace(read_run(run_folder(folder)), verdict=VERDICT)
    interval = Interval(gain or 0, -0.01, 0.09)
    measured = Measurement(GAIN, interval.value, interval=interval)
    return Diagnosis(
        run=replace(run, zero_shot=0.0, adapted=Score(interval.value, interval)),
        training_images=1234,
        classes=6,
        sections=(
            Section(
                "zero_shot",
                "zero-shot CLIP",
                (Measurement(SURE, confidence, chance=0.0125), Measurement(SPREAD, 83.86)),
            ),
            Section(
                "prototypes",
                "prototypes",
                (Measurement(DRIFT, math.nan), Measurement(SPREAD, 12.0)),
            ),
        ),
        labelled=None
        if gain is None
        else Section("labelled", "test images (needs labels)", (measured,)),
    )


def together(*runs: Diagnosis) -> Diagnoses:
    return Diagnoses(runs, ())


def test_snapshot_of_one_run(tmp_path: Path) -> None:
    assert_snapshot("diagnosis.txt", text(together(diagnosis(tmp_path / "animals-1"))))


def test_snapshot_of_several_runs(tmp_path: Path) -> None:
    runs = [
        diagnosis(tmp_path / f"{number}", confidence=number / 10, gain=number / 50)
        for number in range(1, 6)
    ]
    found = together(*runs, diagnosis(tmp_path / "6", gain=None))
    assert_snapshot("diagnoses.txt", text(found))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_fits_in_80_columns(name: str, tmp_path: Path) -> None:
    plain = diagnosis(tmp_path / "run")
    odd = replace(
        plain,
        run=replace(plain.run, folder=Path("runs") / name, data=replace(plain.run.data, name=name)),
        sections=(replace(plain.sections[0], title=name), *plain.sections[1:]),
    )
    for found in (together(odd), together(odd, plain)):
        lines = text(found).split("\n")
        assert max(map(cell_len, lines)) <= 80
        assert not any("\x1b" in line for line in lines)


def test_json_has_null_where_there_is_no_number(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(together(diagnosis(tmp_path / "run"))), allow_nan=False))
    (run,) = found["runs"]
    assert run["values"] == {
        "zero_shot.sure": {"value": 0.3814, "by_chance": 0.0125},
        "zero_shot.spread": {"value": 83.86},
        "prototypes.drift": {"value": None},
        "prototypes.spread": {"value": 12.0},
    }
    assert run["verdict"] == {
        "outcome": "cannot tell",
        "strength": 1.0,
        "reason": "halves of the images agree",
        "signals": {"stability": 0.71},
    }
    assert run["labelled"] == {
        "test_images": 1000,
        "values": {"labelled.gain": {"value": 0.04, "low": -0.01, "high": 0.09}},
    }
    assert found["measures"]["zero_shot.sure"]["reading"] == "mean probability of the top class"


def test_an_oracle_is_not_called_label_free(tmp_path: Path) -> None:
    plain = diagnosis(tmp_path / "run")
    oracle = replace(plain, run=replace(plain.run, oracle=True))
    assert any(
        "True labels of the training images were used" in one for one in notes(together(oracle))
    )
    assert not any("True labels" in one for one in notes(together(plain)))


def test_a_verdict_is_a_section_of_its_signals() -> None:
    section = verdict_section(VERDICT)
    values = {key: one.value for key, one in section.by_key.items()}
    assert values == {
        "verdict.strength": 1.0,
        "verdict.signal.stability": 0.71,
    }


def test_a_run_without_a_guard_says_so(tmp_path: Path) -> None:
    plain = diagnosis(tmp_path / "run")
    found = together(replace(plain, run=replace(plain.run, verdict=None)))
    assert text(found).splitlines()[1] == NO_GUARD
    assert as_json(found)["runs"][0]["verdict"] is None
