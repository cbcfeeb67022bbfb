"""Contract tests of gates, which filter out unusable texts before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from latte.api import Gate, GatedText, GateSubject, Kind
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import HOSTILE_NAMES

_TEXTS = (
    "a small brown dog runs over wet grass",
    "I'm sorry, I cannot see the image.",
    "red",
    "red red red red red red red red",
    "ein kleiner Hund auf der Wiese",
    "写真には小さな犬が写っています",
    "כלב קטן",
    "\u202emirrored \U0001f98a \ud800 \x00 '\"{class} %s <b>",
    "İ ß ﬁ ǆ \u0301\u0301",
    "'" * 300,
    "word " * 300,
    "a small brown dog runs over wet grass",
    *HOSTILE_NAMES,
)


class GateContract(ComponentContract):
    """Tests that a gate judges every text, and that its verdicts depend on the texts only.

    Example:
        >>> from latte_author.testing import GateContract
        >>> class TestNoQuestions(GateContract):
        ...     component = "no-questions"
    """

    kind: ClassVar[Kind] = "gate"

    def class_names(self) -> tuple[str, ...]:
        """Return the class names; override this method if the options name classes."""
        return ("dog", "cat", *HOSTILE_NAMES)

    def texts(self) -> list[GatedText]:
        """Return texts to judge: plain, repetitive or foreign texts, refusals, bad characters."""
        names = self.class_names()
        return [
            GatedText(text, names[row % len(names)], "What is shown?")
            for row, text in enumerate(_TEXTS)
        ]

    def judged(self, gate: Gate[Any], texts: Sequence[GatedText]) -> list[str | None]:
        """Return the verdicts of `gate` on `texts`, which are about single images."""
        return [*gate.judge(texts, GateSubject("image", "image", self.class_names()))]

    def test_every_text_gets_a_verdict(self, tmp_path: Path) -> None:
        """`judge` must return, in order, None or a reason in one line for each text."""
        texts = self.texts()
        verdicts = self.judged(self.make(tmp_path), texts)
        assert len(verdicts) == len(texts), f"{len(verdicts)} verdicts on {len(texts)} texts"
        for reason in verdicts:
            assert isinstance(reason, str | None), f"{reason!r} is neither None nor a reason"
            assert reason is None or reason.strip(), "a reason is empty"
            assert reason is None or len(reason.splitlines()) == 1, "a reason has several lines"

    @pytest.mark.parametrize("count", [0, 1])
    def test_a_description_may_have_hardly_any_text(self, tmp_path: Path, count: int) -> None:
        """`judge` must accept zero texts or one text, as a describer may refuse the others."""
        verdicts = self.judged(self.make(tmp_path), self.texts()[:count])
        assert len(verdicts) == count, f"{len(verdicts)} verdicts on {count} texts"

    def test_verdicts_are_deterministic(self, tmp_path: Path) -> None:
        """Equal texts must get equal verdicts for every seed."""
        verdicts = [self.judged(self.make(tmp_path, seed), self.texts()) for seed in (0, 1)]
        assert verdicts[0] == verdicts[1], "the same texts get another verdict"

    def test_nothing_is_remembered(self, tmp_path: Path) -> None:
        """Texts that a gate judged in earlier calls must not change its later verdicts."""
        gate: Gate[Any] = self.make(tmp_path)
        self.judged(gate, self.texts()[:6])
        later_verdicts = self.judged(gate, self.texts())
        assert later_verdicts == self.judged(self.make(tmp_path), self.texts()), (
            "earlier texts matter"
        )

    def test_the_order_of_texts_does_not_matter(self, tmp_path: Path) -> None:
        """The order of the texts must not change whether a text passes."""
        texts = self.texts()
        passes = [reason is None for reason in self.judged(self.make(tmp_path), texts)]
        reversed_passes = [
            reason is None for reason in self.judged(self.make(tmp_path), texts[::-1])
        ]
        assert reversed_passes[::-1] == passes, "another order of the texts changes a verdict"
