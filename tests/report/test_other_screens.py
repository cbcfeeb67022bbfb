"""The screens of `latte review` and `latte describe`, and the live display that they replace."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from latte.interfaces import FailedRequests
from latte.interfaces.record import DescribeFacts
from latte.report.other_screens import describe_screen, review_screen
from latte.report.progress import LiveProgress
from latte.report.screen import LINES, screen_lines
from latte.report.terminal import WIDTH, SafeConsole
from latte.results.folder import RunFolder
from tests.helpers.report_examples import CLASSES
from tests.helpers.reviews import answer_all, made_up_review

pytestmark = pytest.mark.usefixtures("folder_above_the_run")


def review_lines(folder: Path, answers: int) -> list[str]:
    review = made_up_review(folder / "animals-1a2b3c4d", CLASSES)
    answer_all(review, "adapted", answers)
    stored = review.stored()
    screen = review_screen(
        review.run, review.evidence(stored), stored.answers.values(), learns=answers > 0
    )
    return [line.plain for line in screen_lines(screen, WIDTH)]


def test_a_review_shows_answers_by_class_gain_and_what_uses_them(tmp_path: Path) -> None:
    lines = review_lines(tmp_path, 40)
    assert lines[0] == "✓ 40 answers" and len(lines) <= LINES
    assert sum(int(line.split()[-2]) for line in lines[3:6]) == 40
    assert "  Adapting helps: +25 points (20 to 25)." in lines
    assert lines[-1].startswith("  next    latte review animals-1a2b3c4d --learn")


def test_a_review_without_answers_has_no_bars_and_asks_for_them(tmp_path: Path) -> None:
    lines = review_lines(tmp_path, 0)
    assert lines[0] == "✓ 0 answers"
    assert not any("━" in line for line in lines)
    assert lines[-1].endswith("latte review animals-1a2b3c4d   go on answering")


def test_descriptions_show_photos_per_description_and_failed_requests(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "animals-1a2b3c4d")
    folder.path.mkdir()
    rows = [{"image": {"text": "a cat"}, "group": {"text": None}}, {"image": {"text": "a fox"}}]
    lines = [
        json.dumps({"id": str(number), "descriptions": row}) for number, row in enumerate(rows)
    ]
    folder.descriptions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    facts = DescribeFacts(failed=FailedRequests(1, 4, "no answer"))
    screen = describe_screen(folder, facts, "my recipe.yaml", 3)
    assert [line.plain for line in screen_lines(screen, WIDTH)] == [
        "✓ 2 photos described in 3.0 s",
        "",
        "  description  photos",
        f"  image             2  {'━' * 32}",
        "",
        "  2 texts are stored, for all runs.",
        "  1 of 4 requests failed, most often with “no answer”.",
        "",
        "  next    latte run 'my recipe.yaml'   train with these texts",
        "  texts   animals-1a2b3c4d/descriptions.jsonl",
    ]


def test_a_recipe_without_texts_about_photos_says_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "animals-1a2b3c4d")
    folder.path.mkdir()
    folder.descriptions.write_text('{"id": "0", "descriptions": {}}\n', encoding="utf-8")
    screen = describe_screen(folder, DescribeFacts(), "mine.yaml", 3)
    assert [line.plain for line in screen_lines(screen, WIDTH) if line.plain] == [
        "✓ no text to write, in 3.0 s",
        "  This recipe asks no describer about photos.",
        "  Nothing was sent.",
        "  next    latte run mine.yaml",
    ]


def test_the_live_display_is_erased_and_warnings_stay() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=WIDTH, color_system=None)
    with LiveProgress(console) as progress:
        with progress.task("encode images", 3, "images") as task:
            task.advance(3)
        progress.say("guard: cannot tell")
        progress.say("warning: left out 1 file")
        with progress.task("nothing", 0, "images") as task:
            task.advance()
    shown = file.getvalue()
    assert "encode images" in shown and "warning: left out 1 file" in shown
    last_clear = shown.rindex("\x1b[2K")
    assert "encode images" not in shown[last_clear:] and "guard" not in shown[last_clear:]
    assert shown.rindex("warning: left out") < last_clear
