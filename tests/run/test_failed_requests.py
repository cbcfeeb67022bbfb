"""Requests for descriptions that fail, and are sent again by a later run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latte.describe.bank import DescriptionBank
from latte.interfaces import LatteError
from latte.io.paths import relative
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.report.summary import summary_table
from latte.results.folder import RunFolder
from latte.results.record import RecordFile
from latte.run.runner import plan_run
from tests.helpers.command_line import latte_in_process
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import record, recorded
from tests.helpers.scripted_describer import Noting, describer, noting_first
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough

LATER = ("train", "judge", "evaluate", "report")
CONTROL = "controls={no-groups: {descriptions: [class, image]}}"
FAILED = "requests for descriptions failed"


@pytest.fixture
def failed(recipe: Path, noting: Noting, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run without the texts of one image; its requests still fail."""
    monkeypatch.setenv("FAIL", noting_first(recipe, noting))
    return run(recipe, describer())[0]


@pytest.fixture
def lacking_control(
    recipe: Path, noting: Noting, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    """Overrides of a finished run whose control lacks texts that can now be written."""
    overrides = (describer(), "descriptions=[class]", CONTROL)
    with monkeypatch.context() as patch:
        patch.setenv("FAIL", noting_first(recipe, noting))
        run(recipe, *overrides)
    return overrides


def reused(progress: RecordedProgress) -> list[str]:
    return [line.partition(":")[0] for line in progress.lines if ": reused" in line]


def planned(recipe: Path) -> dict[str, tuple[bool, str | None]]:
    """Return for each stage of a dry run if it is reused, and what it repeats."""
    registry = load_registry()
    loaded = load_recipe(recipe, registry, (describer(),))
    stages = plan_run(loaded, registry, RecordedProgress(), None)[1]
    return {stage.name: (stage.seconds is not None, stage.repeats) for stage in stages}


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize("command", ["run", "describe"])
def test_later_run_sends_failed_requests_again_and_trains_with_the_texts(
    recipe: Path,
    noting: Noting,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    missing = 24 - len(noting.asked)
    assert missing > 0
    assert planned(recipe)["describe"] == (False, f"{missing} failed requests")
    monkeypatch.delenv("FAIL")
    latte_in_process(capsys)(command, recipe, "--set", describer(), "--quiet")
    assert len(noting.asked) == len(set(noting.asked)) == 24
    folder, results, progress = run(recipe, describer())
    assert results is not None
    assert results.record.describe.failed is None
    assert "describe" in reused(progress)
    assert ("train" in reused(progress)) is (command == "run")
    assert len(noting.asked) == 24
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "other-cache"))
    never_failed, _, _ = run(recipe, describer(), output=tmp_path / "other")
    assert_same_results(folder, never_failed)


def test_requests_that_fail_again_leave_later_stages_reused(
    recipe: Path, failed: Path, noting: Noting
) -> None:
    assert planned(recipe)["train"] == (True, None)
    for _ in range(2):
        folder, results, progress = run(recipe, describer())
        assert folder == failed
        assert results is not None
        assert results.record.describe.failed is not None
        assert any(line.startswith("describe: repeats ") for line in progress.lines)
        assert reused(progress) == ["data", "zero-shot", *LATER]
        assert len(noting.asked) == 24 - results.record.describe.failed.count


def test_terminal_and_report_name_failed_requests_and_the_command(
    recipe: Path, failed: Path
) -> None:
    _, results, progress = run(recipe, describer())
    assert results is not None
    failures = results.record.describe.failed
    assert failures is not None
    assert 0 < failures.count < failures.requests == 24
    assert failures.reason.startswith("RuntimeError: 503")
    command = f"latte run {relative(failed / 'recipe.yaml')}"
    (warning,) = (line for line in progress.lines if line.startswith("warning: "))
    assert f"{failures.count} of 24 requests failed, most often with {failures.reason}" in warning
    assert warning.endswith(command)
    assert f"  {command}" in summary_table(results, relative(failed)).splitlines()
    page = (failed / "report" / "index.html").read_text(encoding="utf-8")
    assert f"{failures.count} of 24 requests for descriptions failed" in page
    sent_again = f"<code>latte run {failed.parent.name}/{failed.name}/recipe.yaml</code></p>"
    assert f"To send them again: {sent_again}" in page
    card = (failed / "models/adapted/model" / "README.md").read_text(encoding="utf-8")
    assert FAILED in card


def test_refusals_in_place_of_failures_repeat_only_the_report(
    recipe: Path, failed: Path, noting: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSE", noting_first(recipe, noting))
    monkeypatch.delenv("FAIL")
    assert FAILED in (failed / "report" / "index.html").read_text(encoding="utf-8")
    _, results, progress = run(recipe, describer())
    assert results is not None
    assert reused(progress) == ["data", "zero-shot", "train", "judge", "evaluate"]
    assert FAILED not in (failed / "report" / "index.html").read_text(encoding="utf-8")
    question_count = len(noting.asked)
    assert "describe" in reused(run(recipe, describer())[2])
    assert len(noting.asked) == question_count, "refused requests are not sent again"


def test_run_that_is_killed_when_it_saves_added_texts_trains_with_them(
    recipe: Path, failed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIL")
    save = DescriptionBank.save

    def killed(bank: DescriptionBank, path: Path) -> None:
        save(bank, path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DescriptionBank, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, describer())
    assert RunFolder(failed).results.recorded("train") is None
    assert "train" not in reused(run(recipe, describer())[2])


def test_texts_that_a_control_lacked_repeat_the_control_and_the_report(
    recipe: Path, lacking_control: tuple[str, ...]
) -> None:
    folder, _, progress = run(recipe, *lacking_control)
    (control,) = (folder / "controls" / "no-groups").iterdir()
    assert RunFolder(control).results.finished("describe")
    assert recorded(control, "describe", "failed") is None
    assert reused(progress)[-2:] == ["data", "zero-shot"], "of the control"
    assert "report" not in reused(progress)


def test_run_that_is_killed_after_a_control_was_repeated_repeats_the_report(
    recipe: Path, lacking_control: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = RecordFile.finish

    def killed(file: RecordFile, stage: str, *of_stage: Any) -> None:
        finish(file, stage, *of_stage)
        if stage == "evaluate":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordFile, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, *lacking_control)
    progress = run(recipe, *lacking_control)[2]
    assert reused(progress)[-3:] == ["train", "judge", "evaluate"], "of the control"
    assert "report" not in reused(progress)


def test_impossible_number_of_failed_requests_is_an_error(failed: Path) -> None:
    record(failed, ("describe", "failed", "count"), 25)
    with pytest.raises(LatteError, match="more requests failed than there are"):
        RunFolder(failed).results.read()
