"""Gates on the answers of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from latte.describe.gating import apply_gates
from latte.describe.generate import GenerateResult
from latte.describe.plan import Plan, plan_requests
from latte.interfaces import Gate, GatedText, GateSubject, HeldBack, LatteError, NoOptions
from tests.helpers.describe_doubles import ScriptedDescriber, context, descriptions, training_set

KINDS = descriptions()
LABELS = [0, 1, 1, 2]


class Scripted(Gate[NoOptions]):
    """Holds back texts for which `script` returns a reason, and records all texts that it sees."""

    def __init__(self, script: Callable[[GatedText], str | None]) -> None:
        super().__init__(NoOptions(), context())
        self.script = script
        self.seen: dict[str, list[GatedText]] = {}
        self.subjects: dict[str, GateSubject] = {}

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        self.seen[subject.description] = [*texts]
        self.subjects[subject.description] = subject
        return [self.script(judged) for judged in texts]


def holding(*words: str) -> Scripted:
    """Return a gate that holds back texts with one of `words`."""
    return Scripted(
        lambda judged: next((f"has {word}" for word in words if word in judged.text), None)
    )


@pytest.fixture
def plan() -> Plan:
    """Plan image and group descriptions of one cat, two dogs and one fish."""
    return plan_requests(training_set(LABELS), KINDS, {"main": ScriptedDescriber()}, seed=0)["main"]


def answered(plan: Plan, *texts: str | None) -> GenerateResult:
    """Answer the first requests, about images, with `answers`, and the others with `text i`."""
    texts_after = [f"text {row}" for row in range(len(texts), len(plan.requests))]
    return GenerateResult((*texts, *texts_after), served=0, generated=0, refused=0)


def gated(
    plan: Plan, result: GenerateResult, **gates: Gate[NoOptions]
) -> tuple[tuple[str | None, ...], list[HeldBack]]:
    results, records = apply_gates(gates, {"main": plan}, {"main": result}, KINDS)
    assert replace(results["main"], texts=result.texts) == result
    return results["main"].texts, records


def test_texts_that_pass_stay_as_they_are_and_others_become_none(plan: Plan) -> None:
    result = answered(plan, "a", "bad b", "c", None)
    texts, _ = gated(plan, result, one=holding("bad"))
    assert texts == ("a", None, "c", None, *result.texts[4:])


def test_a_gate_learns_class_question_scope_and_all_classes(plan: Plan) -> None:
    gate = holding()
    gated(plan, answered(plan, "a", "b", "c", "d"), one=gate)
    assert gate.seen["image"] == [
        GatedText(text, name, "What?")
        for text, name in zip("abcd", ("cat", "dog", "dog", "fish"), strict=True)
    ]
    assert gate.subjects["image"] == GateSubject("image", "image", ("cat", "dog", "fish"))
    assert gate.subjects["group"].scope == "group"
    assert {judged.class_name for judged in gate.seen["group"]} == {"cat", "dog", "fish"}
    assert {judged.prompt for judged in gate.seen["group"]} == {"In common?"}


def test_a_gate_sees_what_earlier_ones_let_pass_and_nothing_that_was_refused(plan: Plan) -> None:
    later_gate = holding("worse")
    gated(plan, answered(plan, "bad", None, "worse", "good"), one=holding("bad"), two=later_gate)
    assert [judged.text for judged in later_gate.seen["image"]] == ["worse", "good"]


def test_counts_are_by_description_and_gate_in_the_recipe_s_order(plan: Plan) -> None:
    result = answered(plan, "bad 1", "worse bad", "worse", None)
    _, records = gated(plan, result, one=holding("bad"), two=holding("worse"))
    groups = len(plan.requests) - 4
    assert records == [
        HeldBack("image", "one", 3, 2, "has bad", "bad 1"),
        HeldBack("image", "two", 3, 1, "has worse", "worse"),
        HeldBack("group", "one", groups, 0),
        HeldBack("group", "two", groups, 0),
    ]


def test_a_reason_is_one_printable_line(plan: Plan) -> None:
    gate = Scripted(lambda judged: "the class\n`\udcff\x00` is named")
    _, records = gated(plan, answered(plan), one=gate)
    assert records[0].reason == "the class `` is named"


def test_a_description_without_any_text_is_not_judged(plan: Plan) -> None:
    result = GenerateResult((None,) * len(plan.requests), served=0, generated=0, refused=0)
    gate = holding()
    texts, records = gated(plan, result, one=gate)
    assert texts == result.texts
    assert gate.seen == {}
    assert [(record.texts, record.held_back) for record in records] == [(0, 0), (0, 0)]


def test_a_question_that_two_descriptions_share_is_judged_for_each() -> None:
    kinds = {"first": KINDS["image"], "second": KINDS["image"]}
    plan = plan_requests(training_set(LABELS), kinds, {"main": ScriptedDescriber()}, seed=0)["main"]
    result = GenerateResult(tuple("abcd"), served=0, generated=0, refused=0)

    class NotForTheSecond(Gate[NoOptions]):
        def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
            unwanted_text = {"first": "a", "second": "b"}[subject.description]
            return ["no" if judged.text == unwanted_text else None for judged in texts]

    gates = {"one": NotForTheSecond(NoOptions(), context())}
    results, records = apply_gates(gates, {"main": plan}, {"main": result}, kinds)
    assert results["main"].texts == (None, None, "c", "d")
    assert [record.example for record in records] == ["a", "b"]


@pytest.mark.parametrize("verdicts", [[], [None, None], [False]])
def test_a_gate_that_loses_verdicts_is_named(verdicts: list[str | None]) -> None:
    class Broken(Gate[NoOptions]):
        def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
            return verdicts

    plan = plan_requests(training_set([0]), KINDS, {"main": ScriptedDescriber()}, seed=0)["main"]
    with pytest.raises(LatteError, match="the gate `odd` must return None or a reason"):
        gated(plan, answered(plan, "a"), odd=Broken(NoOptions(), context()))
