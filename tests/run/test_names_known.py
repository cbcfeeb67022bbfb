"""A guard may say that CLIP hardly knows the class names; the record and the first line keep it."""

from __future__ import annotations

from pathlib import Path

import pytest

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.results.run import open_finished, open_run
from tests.helpers.guards import fixed
from tests.helpers.records import record, recorded
from tests.helpers.whole_runs import run

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("fixed_guard")]

KEPT_UNKNOWN = fixed(0, names_known="false")
ESTIMATED = (
    *("describer=null", "descriptions=[]", "labels=[frozen]", "loss=null", "train.max_steps=0"),
    "prototypes={use: re-estimated, image_weight: 1.0}",
)


def test_the_record_keeps_it_and_the_first_line_says_it(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (KEPT_UNKNOWN, "dataset.evaluation=null")
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert run_command_line(["run", str(recipe), "--quiet", "--verbose", *arguments]) == 0
    folder_line, headline, *_ = capsys.readouterr().out.splitlines()
    folder = Path(folder_line.removeprefix("run folder: "))
    assert headline.startswith("CLIP hardly knows these names here")
    assert recorded(folder, "judge", "verdict", "names_known") is False
    verdict = open_run(folder).record.judge.verdict
    assert verdict is not None and verdict.names_known is False
    assert run_command_line(["report", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(headline)


def test_a_record_of_an_earlier_version_is_read(recipe: Path) -> None:
    folder, _, _ = run(recipe, *ESTIMATED, KEPT_UNKNOWN)
    earlier = {"strength": 0.0, "reason": "so", "signals": {}, "measured": None}
    record(folder, ("train", "verdict"), earlier)
    stages, facts = recorded(folder, "stages"), recorded(folder)
    record(folder, ["stages"], {name: stages[name] for name in stages if name != "judge"})
    verdict = open_finished(folder).record.judge.verdict
    assert verdict is not None and (verdict.reason, verdict.names_known) == ("so", None)
    assert latte.load(folder).verdict == verdict
    assert facts["judge"]["verdict"]["reason"] == "the options say so"


@pytest.mark.parametrize("value", ["0.5", "hardly"])
def test_another_value_is_refused(recipe: Path, value: str) -> None:
    with pytest.raises(LatteError, match="names_known is a"):
        run(recipe, *ESTIMATED, fixed(0, names_known=value))
