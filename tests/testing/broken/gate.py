"""Gates; each has one fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from latte.interfaces import Gate, GatedText, GateSubject, NoOptions
from latte.testing import GateContract
from tests.testing.broken.fault import Fault


class Sober(Gate[NoOptions]):
    """No fault: holds back long texts."""

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        return ["it is long" if len(one.text) > 60 else None for one in texts]


class Bool(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        return [False for _ in texts]  # type: ignore[misc]


class TestFalseInPlaceOfNone(Fault, GateContract):
    broken = Bool
    fails: ClassVar = {"every_text_gets_a_verdict"}


class OnlyTheBad(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        return [reason for reason in super().judge(texts, subject) if reason]


class TestLostVerdicts(Fault, GateContract):
    broken = OnlyTheBad
    fails: ClassVar = {"every_text_gets_a_verdict", "a_description_may_have_hardly_any_text"}


class Comparing(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        longest = max(len(one.text) for one in texts)
        return ["the longest" if len(one.text) == longest else None for one in texts]


class TestNoTexts(Fault, GateContract):
    broken = Comparing
    fails: ClassVar = {"a_description_may_have_hardly_any_text"}


class Seeded(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        return ["bad luck" if self.context.seed else None for _ in texts]


class TestLuck(Fault, GateContract):
    broken = Seeded
    fails: ClassVar = {"verdicts_are_deterministic"}


class Remembering(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        seen: set[str] = self.__dict__.setdefault("seen", set())
        verdicts = ["seen before" if one.text in seen else None for one in texts]
        seen.update(one.text for one in texts)
        return [*verdicts]


class TestMemory(Fault, GateContract):
    broken = Remembering
    fails: ClassVar = {"nothing_is_remembered"}


class First(Sober):
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        known = [one.text for one in texts]
        return [
            "it is a copy" if text in known[:place] else None for place, text in enumerate(known)
        ]


class TestCopies(Fault, GateContract):
    broken = First
    fails: ClassVar = {"the_order_of_texts_does_not_matter"}
