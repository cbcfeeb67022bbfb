"""The screen with which commands end: sixteen lines, four parts, and plain lines without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len

from latte.interfaces import Interval, LabelFlow, RunResults, Verdict
from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers
from latte.report.outcome import outcome_of
from latte.report.run_screen import DOUBTFUL, run_screen
from latte.report.screen import (
    LINES,
    Bar,
    Screen,
    Step,
    can_draw,
    plain_lines,
    print_screen,
    screen_lines,
)
from latte.report.terminal import WIDTH
from tests.helpers.report_examples import CLASSES, run_model, run_results
from tests.helpers.reviews import answer_all, made_up_review

pytestmark = pytest.mark.usefixtures("folder_above_the_run")

FORTY = tuple(f"class {number}" for number in range(40))
MANY = tuple((40 - number, number) for number in range(40))
KNOWN = Verdict(1.0, "the names fit", names_known=True)
UNKNOWN = Verdict(0.0, "the names do not fit", names_known=False)
ESTIMATE = LeftOutAnswers(
    answers=43, folds=5, zero_shot=0.05, adapted=0.63, gain=Interval(0.58, 0.39, 0.72)
)


def unlabelled(folder: Path, verdict: Verdict | None = KNOWN, **changes: object) -> RunResults:
    return run_results(folder, **{"models": (), "confusions": {}, "verdict": verdict, **changes})


def forty(folder: Path) -> RunResults:
    flows = (LabelFlow(0, 1, 12), LabelFlow(2, 2, 80))
    return unlabelled(
        folder, class_names=FORTY, pseudo_label_counts=MANY, label_flows=flows, prototypes=()
    )


def taught(folder: Path, **changes: object) -> RunResults:
    answers = AnswerFacts(answers=43, classes=3, measured=ESTIMATE)
    recipe = {"corrections": "a/review.jsonl"}
    return unlabelled(folder, Verdict(1.0, "so"), answers=answers, recipe=recipe, **changes)


def lines_of(results: RunResults, columns: int = WIDTH) -> list[str]:
    return [line.plain for line in screen_lines(run_screen(results, 36), columns)]


CASES: dict[str, Callable[[Path], RunResults]] = {
    "unknown": unlabelled,
    "doubted": lambda folder: unlabelled(folder, UNKNOWN, unsupported=CLASSES[:1]),
    "measured": run_results,
    "taught": taught,
    "forty classes": forty,
    "one class with photos": lambda folder: unlabelled(
        folder, pseudo_label_counts=((0, 12), (3, 0), (9, 0))
    ),
    "oracle": lambda folder: run_results(folder, recipe={"oracle": True}),
    "long names": lambda folder: unlabelled(
        folder, class_names=("x" * 300, "猫" * 50, "\x1b[31mred\nline")
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("columns", [60, 80])
def test_a_run_ends_in_sixteen_lines(
    case: str, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = lines_of(CASES[case](tmp_path), columns)
    assert len(lines) <= LINES
    assert lines[0].startswith("✓ 12,345 photos labelled in 36 s")
    is_path = [line.lstrip().startswith(("next", "report")) for line in lines]
    assert all(
        cell_len(line) <= columns for line, path in zip(lines, is_path, strict=True) if not path
    )
    assert "\x1b" not in "".join(lines)


def test_the_parts_are_classes_result_trust_and_next_step(tmp_path: Path) -> None:
    lines = lines_of(unlabelled(tmp_path))
    bar = "━" * 32
    assert lines[:4] == [
        "✓ 12,345 photos labelled in 36 s; 2 files could not be read, see the report",
        "",
        "  class      photos                                    before",
        f"  red fox     7,345  {bar}   4,000",
    ]
    assert lines[6:] == [
        "",
        "  Adapted: 4,345 labels changed.",
        "  How many labels are right is not known yet.",
        "",
        "  next    latte review animals-1a2b3c4d   name 2 groups, about 1 minute",
    ]


def test_a_lost_photo_is_drawn_behind_the_bar(tmp_path: Path) -> None:
    bars = [Bar("a", 10, 10), Bar("b", 5, 10), Bar("c", 5, 5)]
    _, first, second, third = screen_lines(_screen(bars), WIDTH)[2:6]
    assert first.plain.count("━") == second.plain.count("━") == 2 * third.plain.count("━")
    assert [span.style for span in second.spans].count("bright_black") == 1
    assert "bright_black" not in [span.style for span in third.spans]


def _screen(bars: Sequence[Bar], **changes: object) -> Screen:
    parts = {
        "status": "done",
        "headings": ("class", "photos", "before"),
        "bars": bars,
        "result": "A result.",
        "trust": "A trust.",
        "steps": [Step("next", "latte review run", ("a long purpose " * 5, "short"))],
    }
    return Screen(**{**parts, **changes})  # type: ignore[arg-type]


def test_forty_classes_become_the_largest_and_one_sum(tmp_path: Path) -> None:
    lines = lines_of(forty(tmp_path))
    assert lines[3].split()[:3] == ["class", "39", "39"]
    last = next(line for line in lines if "more" in line)
    numbers = [int(number) for number in last.split() if number.isdigit()]
    shown = [int(line.split()[2]) for line in lines[3 : lines.index(last)]]
    assert numbers == [40 - len(shown), sum(range(40)) - sum(shown), numbers[2]]
    assert len(lines) == LINES


def test_the_longest_purpose_that_fits_is_shown() -> None:
    assert screen_lines(_screen([]), WIDTH)[-1].plain == "  next    latte review run   short"


def test_doubtful_names_are_marked_and_zero_shot_is_not_repeated(tmp_path: Path) -> None:
    lines = lines_of(unlabelled(tmp_path, UNKNOWN, unsupported=CLASSES[:1]))
    assert [CLASSES[0] in line for line in lines if DOUBTFUL in line] == [True]
    assert not any("before" in line for line in lines)
    assert "  1 name fits almost no photo: check the spelling." in "\n".join(lines).replace(
        "A few answers help most.", " "
    )


def test_few_labelled_photos_of_a_class_are_counted_not_divided(tmp_path: Path) -> None:
    images = (200, 3, 80)
    models = (
        run_model("zero-shot", (100, 1, 60), images=images),
        run_model("adapted", (130, 2, 60), Interval(0.1, 0.05, 0.15), images=images),
    )
    text = "\n".join(lines_of(run_results(tmp_path, models=models)))
    assert "65 % of 200" in text and "2 of 3" in text


@pytest.mark.parametrize(
    ("case", "result", "trust"),
    [
        (
            "measured",
            "60 % of labels are right, up from 55 % with plain CLIP: +4 points (1 to 8)",
            "Measured on 400 labelled photos that latte did not learn from.",
        ),
        (
            "taught",
            "About 63 % of unanswered photos are right, up from 5 % with plain CLIP.",
            "The gain is probably 39 to 72 points; from your 43 answers, left out in turn.",
        ),
        (
            "unknown",
            "Adapted: 4,345 labels changed.",
            "How many labels are right is not known yet.",
        ),
    ],
)
def test_result_and_trust_of_a_case(case: str, result: str, trust: str, tmp_path: Path) -> None:
    lines = [line.strip() for line in lines_of(CASES[case](tmp_path))]
    assert lines[lines.index(result) + 1] == trust


def test_true_labels_that_were_used_are_named_in_place_of_trust(tmp_path: Path) -> None:
    assert "Oracle" in "\n".join(lines_of(CASES["oracle"](tmp_path)))


def test_stored_answers_are_used_before_more_are_asked_for(tmp_path: Path) -> None:
    results = unlabelled(tmp_path)
    review = made_up_review(results.folder, CLASSES)
    assert "latte review animals-1a2b3c4d   name" in "\n".join(lines_of(results))
    answer_all(review, "adapted", 10)
    assert "latte review animals-1a2b3c4d --learn" in "\n".join(lines_of(results))


def test_a_measured_gain_leads_to_sorted_folders(tmp_path: Path) -> None:
    assert "latte predict animals-1a2b3c4d IMAGES --sort-into sorted" in "\n".join(
        lines_of(run_results(tmp_path))
    )


def test_without_a_terminal_the_facts_are_tab_separated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_screen(run_screen(unlabelled(tmp_path), 36))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "label\tred fox\t7345\t4000"
    assert "result\tAdapted: 4,345 labels changed" in lines
    assert "next\tlatte review animals-1a2b3c4d" in lines
    assert not {"✓", "━", "╸", "\x1b"} & set("".join(lines))


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "\x1b[31ma"])
def test_a_name_cannot_add_a_field_or_a_line(name: str) -> None:
    (line, *_) = plain_lines(_screen([Bar(name, 3)]))
    assert line.count("\t") == 2 and line.isprintable() is False and "\n" not in line


def test_no_colour_and_dumb_terminals_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert can_draw()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not can_draw()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw()


def test_images_of_no_class_have_the_last_bar_and_count_as_changed(tmp_path: Path) -> None:
    lines = lines_of(unlabelled(tmp_path, none_images=4))
    (bar,) = (line for line in lines if "none of these" in line)
    assert " 4" in bar
    outcome = outcome_of(unlabelled(tmp_path, none_images=4), None, "run")
    plain = outcome_of(unlabelled(tmp_path), None, "run")
    assert outcome.headline == plain.headline.replace("classes.", "classes, 4 in none.")
    changed = int(plain.result.split()[1].replace(",", ""))
    assert f"{changed + 4:,} labels changed" in outcome.result
