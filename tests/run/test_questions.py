"""Questions of a labeler: within the budget, stored, counted in the run folder and its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor

from latte.cli.main import run_command_line
from latte.describe.plan import TrainingSet
from latte.interfaces import (
    Batch,
    Choice,
    ChoiceRequest,
    Context,
    Describer,
    DescribeRequest,
    EpochInfo,
    ImageReference,
    LabelStream,
    LatteError,
    NoOptions,
    Options,
    PseudoLabeler,
    QuestionCounts,
    Refusal,
    TrainingStart,
    full_stream,
)
from latte.interfaces.settings import Budget, Price
from latte.recipe.load import load_recipe
from latte.registry.discovery import discover_plugins
from latte.registry.plugin import Plugin
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.report.facts import asked
from latte.report.summary import summary_table
from latte.results.identity import run_hash
from latte.run.planned_questions import plan_questions
from latte.run.questions import StoredQuestions
from latte.run.runner import run_recipe
from latte.testing import StubClip
from tests.helpers.recorded import RecordedProgress, write_colour_images

NAMES = ("red", "green", "blue")


class First(Describer[NoOptions]):
    """Always chooses the first option; refuses questions that contain `secret`."""

    sent: ClassVar[list[ChoiceRequest]] = []
    written: ClassVar[list[DescribeRequest]] = []
    closed: ClassVar[list[bool]] = []

    @property
    def fingerprint(self) -> str:
        return "first-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal]:
        self.written.extend(requests)
        return [
            Refusal("no") if "secret" in one.prompt else f"one\ntwo of {one.prompt}"
            for one in requests
        ]

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        self.sent.extend(requests)
        return [
            Refusal("no")
            if "secret" in one.prompt
            else one.choice([1] + [0] * (len(one.letters) - 1))
            for one in requests
        ]

    def close(self) -> None:
        self.closed.append(True)


class Counting(First):
    """Counts 600 input tokens for each question in the first 16, 1,000 later, and 2 output tokens.

    The call number `killed` fails like a process that is killed.
    """

    batch_size = 8
    killed = -1
    calls = 0
    spent = 0

    @property
    def counters(self) -> dict[str, int]:
        return {"tokens": 2 * len(self.sent), "prompt tokens": self.spent}

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        self.calls += 1
        if self.calls == self.killed:
            raise KeyboardInterrupt
        self.spent += sum(600 if int(one.images[0].key[4:]) < 16 else 1000 for one in requests)
        return super().choose(requests)


class AskingOptions(Options):
    describer: str = ""

    @property
    def questions_to(self) -> str:
        return self.describer


class Asking(PseudoLabeler[AskingOptions]):
    """Labels images with their zero-shot class; asks about each image, and about a sheet."""

    start_: TrainingStart

    def start(self, start: TrainingStart) -> None:
        self.start_ = start

    def on_epoch_start(self, *arguments: Any) -> EpochInfo:
        questions = self.start_.questions
        assert questions is not None
        own = self.start_.encode_names(self.start_.class_names)
        assert torch.allclose(own, self.start_.class_features, atol=1e-6)
        sheet = ChoiceRequest((questions.sheet([0, 1]),), "sheet?", self.start_.class_names)
        questions.choose("sheets", [sheet])
        images = [questions.image(row) for row in range(len(self.start_.image_features))]
        asked = [ChoiceRequest((one,), "which?", self.start_.class_names) for one in images]
        found = questions.choose("images", asked)
        questions.note("images", kept=sum(one is not None for one in found), contradictory=1)
        return EpochInfo()

    def assign(self, batch: Batch, image_features: Tensor, aggregator: Any) -> list[LabelStream]:
        labels = self.start_.zero_shot_labels[batch.indices]
        return [full_stream("asking", labels, image_features, 1.0)]


def registry() -> Registry:
    here = "tests.run.test_questions"
    specs = (
        ComponentSpec(kind="describer", name="first", target=f"{here}:First", summary="test"),
        ComponentSpec(
            kind="labeler",
            name="asking",
            target=f"{here}:Asking",
            options=f"{here}:AskingOptions",
            summary="test",
        ),
    )
    mine = Plugin("latte_asking", "latte-asking", "1", status="ok", specs=specs)
    return Registry([*discover_plugins(), mine])


def training(count: int) -> TrainingSet:
    def open_(image: ImageReference) -> Image.Image:
        return Image.new("RGB", (4, 4), (int(image.id), 0, 0))

    return TrainingSet(
        images=[ImageReference(str(row), Path(str(row))) for row in range(count)],
        keys=[f"key {row}" for row in range(count)],
        features=torch.eye(count),
        zero_shot_labels=torch.zeros(count, dtype=torch.int64),
        class_names=NAMES,
        template="{class}",
        open=open_,
    )


def questions(
    folder: Path, budget: int | Budget, describer: type[First] = First, **options: Any
) -> StoredQuestions:
    First.sent.clear()
    First.written.clear()
    First.closed.clear()
    context = Context(Path(), Path(), "cpu", 0, StubClip)
    return StoredQuestions(
        lambda: describer(NoOptions(), context),
        training(100),
        Budget(questions=budget) if isinstance(budget, int) else budget,
        folder / "store",
        RecordedProgress(),
        **options,
    )


def about(door: StoredQuestions, row: int, prompt: str = "which?") -> ChoiceRequest:
    return ChoiceRequest((door.image(row),), prompt, NAMES)


def test_questions_beyond_the_budget_are_not_sent(tmp_path: Path) -> None:
    door = questions(tmp_path, 3)
    found = door.choose("images", [about(door, row) for row in (0, 1, 0, 2, 3)])
    assert [one is None for one in found] == [False, False, False, False, True]
    assert (door.asked, len(First.sent)) == (3, 3)
    assert door.choose("images", [about(door, 1), about(door, 3)])[1] is None


def test_stored_answers_count_against_the_budget_and_are_not_asked_again(tmp_path: Path) -> None:
    requests = [0, 1, 2]
    first = questions(tmp_path, 2)
    before = first.choose("images", [about(first, row) for row in requests])
    again = questions(tmp_path, 2)
    assert again.choose("images", [about(again, row) for row in requests]) == before
    assert First.sent == []
    assert again.counts == (QuestionCounts("images", questions=2, stored=2, unanswered=0),)


def test_texts_and_choices_share_the_budget_and_the_store(tmp_path: Path) -> None:
    door = questions(tmp_path, 3)
    prompts = ["a cat", "secret", "a dog", "a cat", "a fox"]
    asked = [DescribeRequest((), prompt) for prompt in prompts]
    found = door.ask("names", asked[:2])
    assert found == ["one\ntwo of a cat", None]
    door.choose("images", [about(door, 0), about(door, 1)])
    assert (door.asked, len(First.sent)) == (3, 1)
    assert door.ask("names", asked) == [found[0], None, None, found[0], None]
    assert door.counts[0] == QuestionCounts("names", questions=2, stored=0, unanswered=1)
    again = questions(tmp_path, 3)
    assert again.ask("names", asked[:2]) == found
    assert First.written == []
    assert again.counts == (QuestionCounts("names", questions=2, stored=2, unanswered=1),)
    dry = questions(tmp_path, 3, ask=False)
    assert dry.ask("names", asked) == [found[0], None, None, found[0], None]
    assert First.written == []
    assert dry.counts == (QuestionCounts("names", questions=3, stored=2, unanswered=0),)


def test_a_text_and_a_choice_about_one_question_are_stored_apart(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    choice = about(door, 0)
    door.choose("images", [choice])
    assert door.ask("texts", [choice.question()])[0] is not None
    assert len(First.written) == 1


def test_a_dry_run_returns_stored_answers_only(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    answer = door.choose("images", [about(door, 0)])
    dry = questions(tmp_path, 9, ask=False)
    assert dry.choose("images", [about(dry, 0), about(dry, 1)]) == [*answer, None]
    assert First.sent == []
    assert dry.counts == (QuestionCounts("images", questions=2, stored=1, unanswered=0),)


PRICE = Price(input=1.0, output=10.0)


@pytest.mark.parametrize(
    "budget",
    [Budget(tokens=50_000), Budget(money=0.5, price=Price(input=10.0, output=10.0))],
)
def test_a_budget_in_tokens_or_money_follows_the_counted_tokens(
    tmp_path: Path, budget: Budget
) -> None:
    door = questions(tmp_path, budget, Counting)
    assert door.budget == 16, "the assumed 3,080 tokens of each question"
    requests = [about(door, row) for row in range(100)]
    found = door.choose("images", requests)
    spent = sum(600 if row < 16 else 1000 for row in range(door.asked)) + 2 * door.asked
    assert 48_000 < spent < 51_500
    assert [one is not None for one in found] == [row < door.asked for row in range(100)]
    (counts,) = door.counts
    assert counts.input_tokens + counts.output_tokens == spent
    again = questions(tmp_path, budget, Counting)
    assert again.choose("images", requests) == found
    assert First.sent == []
    assert again.counts == (replace(counts, stored=door.asked),)


def test_a_kill_in_a_round_changes_no_answer_and_pays_no_stored_one_again(tmp_path: Path) -> None:
    class Killed(Counting):
        killed = 4

    budget = Budget(tokens=50_000)
    whole = questions(tmp_path / "whole", budget, Counting)
    requests = [about(whole, row) for row in range(100)]
    found = whole.choose("images", requests)
    paid = len(First.sent)
    door = questions(tmp_path, budget, Killed)
    with pytest.raises(KeyboardInterrupt):
        door.choose("images", requests)
    before = len(First.sent)
    assert 0 < before < paid
    resumed = questions(tmp_path, budget, Counting)
    assert resumed.choose("images", requests) == found
    assert before + len(First.sent) == paid
    assert resumed.counts == (replace(whole.counts[0], stored=before),)


def test_a_tiny_price_allows_many_questions() -> None:
    assert Budget(money=1e300, price=Price(input=1e-300, output=0.0)).allowed((1, 1)) == 10**12


def test_a_budget_in_tokens_needs_a_describer_that_counts_them(tmp_path: Path) -> None:
    class Silent(Counting):
        counters: ClassVar[dict[str, int]] = {"tokens": 0, "prompt tokens": 0}

    door = questions(tmp_path, Budget(tokens=100_000))
    with pytest.raises(LatteError, match="First does not count input and output tokens"):
        door.choose("images", [about(door, 0)])
    assert First.sent == []
    silent = questions(tmp_path, Budget(tokens=200_000), Silent)
    with pytest.raises(LatteError, match="the server reports none"):
        silent.choose("images", [about(silent, row) for row in range(100)])
    assert len(First.sent) == 16


def test_tokens_of_questions_are_counted_under_a_budget_in_questions(tmp_path: Path) -> None:
    door = questions(tmp_path, Budget(questions=4, price=PRICE), Counting)
    door.choose("images", [about(door, row) for row in range(3)])
    door.choose("images", [about(door, row, "secret?") for row in range(3)])
    (counts,) = door.counts
    assert counts == QuestionCounts("images", 4, 0, 1, 0, 0, 1800, 6, pytest.approx(0.00186))
    assert asked(counts) == (
        "4 (0 answered alike, 0 contradictory, 1 question without an answer, "
        "1,806 tokens for 0.0019)"
    )


def test_counts_are_written_by_purpose(tmp_path: Path) -> None:
    door = questions(tmp_path, 9, path=tmp_path / "questions.json")
    door.choose("clusters", [about(door, 0), about(door, 1, "secret?")])
    door.note("clusters", kept=1, contradictory=2)
    door.choose("images", [about(door, 2)])
    found = json.loads((tmp_path / "questions.json").read_text())
    assert [QuestionCounts(**one) for one in found] == [
        QuestionCounts("clusters", 2, stored=0, unanswered=1, kept=1, contradictory=2),
        QuestionCounts("images", 1, stored=0, unanswered=0),
    ]


def test_a_sheet_shows_its_images_in_one_picture(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    sheet = door.sheet([3, 1])
    colours = {*sheet.open().getchannel("R").tobytes()}
    assert colours == {0, 1, 3}
    assert sheet.key != door.sheet([1, 3]).key


def test_closing_frees_the_describer_once(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    door.choose("images", [about(door, 0)])
    door.close()
    door.close()
    assert First.closed == [True]


RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
backbone: {model: "local-dir:CLIP"}
describer: first
labels: [asking]
prototypes: templates
train: {max_steps: 0}
budget: 3
"""


def recipe_of(text: str, folder: Path, *changes: str) -> Any:
    path = folder / "squares.yaml"
    path.write_text(text)
    return load_recipe(path, registry(), changes)


def test_the_budget_is_part_of_the_run_s_identity_only_if_a_labeler_asks(tmp_path: Path) -> None:
    recipe = recipe_of(RECIPE, tmp_path)
    assert run_hash(recipe, None) != run_hash(recipe_of(RECIPE, tmp_path, "budget=4"), None)
    without = recipe_of(RECIPE.replace("budget: 3\n", "").replace("[asking]", "[frozen]"), tmp_path)
    short = recipe_of(RECIPE.replace("budget: 3", "budget: {questions: 3}"), tmp_path)
    assert run_hash(recipe, None) == run_hash(short, None)
    tokens = [
        recipe_of(RECIPE.replace("budget: 3", f"budget: {{tokens: {n}}}"), tmp_path)
        for n in (95_000, 96_000)
    ]
    assert len({run_hash(one, None) for one in (recipe, *tokens)}) == 3
    old = {name: value for name, value in without.resolved.items() if name != "budget"}
    assert run_hash(without, None) == run_hash(replace(without, resolved=old), None)
    unused = recipe_of(RECIPE.replace("[asking]", "[frozen]"), tmp_path)
    assert run_hash(unused, None) == run_hash(without, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget: 3\n", "", 'the key "budget" is missing'),
        ("describer: first\n", "", "there is no describer"),
        ("[asking]", "[{use: asking, describer: frist}]", 'called "frist"'),
        ("[asking]", "[asking, {use: asking, name: two}]", "only one labeler"),
        ("budget: 3", "budget: -1", "budget"),
        ("budget: 3", "budget: {}", "exactly one of"),
        ("budget: 3", "budget: {questions: 3, tokens: 90000}", "exactly one of"),
        ("budget: 3", "budget: {token: 3}", "Did you mean"),
        ("budget: 3", "budget: {tokens: 3000}", "too small for one question"),
        ("budget: 3", "budget: {tokens: -1}", "at least 0"),
        ("budget: 3", "budget: {money: 2.50}", "needs a price"),
        ("budget: 3", "budget: {money: 2.50, price: {input: 0.15}}", '"output" is missing'),
        ("budget: 3", "budget: {money: 0.0001, price: {input: 1, output: 1}}", "too small"),
        ("budget: 3", "budget: {money: .inf, price: {input: 1, output: 1}}", "budget.money"),
    ],
)
def test_a_labeler_needs_a_describer_and_a_budget(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(LatteError) as raised:
        recipe_of(RECIPE.replace(old, new), tmp_path)
    assert message in str(raised.value)


@pytest.mark.thorough
def test_a_run_asks_within_its_budget_and_reports_the_counts(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    write_colour_images(tmp_path / "test", NAMES, 1, (40, 36))
    recipe = recipe_of(RECIPE.replace("CLIP", str(tiny_clip_folder)), tmp_path)
    First.sent.clear()
    results = run_recipe(recipe, registry(), RecordedProgress(), output=tmp_path / "runs")
    assert results is not None
    assert len(First.sent) == 3
    expected = (
        QuestionCounts("sheets", 1, stored=0, unanswered=0),
        QuestionCounts("images", 2, stored=0, unanswered=0, kept=2, contradictory=1),
    )
    assert results.questions == expected
    said = " ".join(summary_table(results).split())
    assert "Questions about sheets 1 (0 answered alike, 0 contradictory), images 2" in said
    page = (results.folder / "report" / "index.html").read_text()
    assert "Questions about images" in page
    again = run_recipe(recipe, registry(), RecordedProgress(), output=tmp_path / "others")
    assert again is not None
    assert len(First.sent) == 3
    assert [one.stored for one in again.questions] == [1, 2]


def test_a_dry_run_of_describe_lists_questions_and_asks_none(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder)).replace("evaluation: test", "")
    recipe = recipe_of(text + "descriptions: [class, {use: group, size: 2}]\n", tmp_path)
    First.sent.clear()
    planned = plan_questions(recipe, registry(), RecordedProgress(), None)
    assert [(one.purpose, one.stored) for one in planned] == [
        ("group", 0),
        ("sheets", 0),
        ("images", 0),
    ]
    assert [one.to_ask for one in planned[1:]] == [1, 2]
    assert First.sent == []
    assert not (tmp_path / "runs").exists()


def test_the_command_prints_questions_by_purpose(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder)).replace("evaluation: test", "")
    plain = text.replace("first", "phrases").replace("asking", "frozen")
    (tmp_path / "squares.yaml").write_text(plain + "descriptions: [image]\n")
    assert run_command_line(["describe", "squares.yaml", "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "phrases image 6 0 6 to ask in all: 6 questions" in said
    assert not (tmp_path / "runs").exists()
