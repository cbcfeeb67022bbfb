"""Apply gates, which hold back unusable texts before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from latte.describe.generate import GenerateResult, Results
from latte.describe.plan import Descriptions, Plans
from latte.describe.store import clean
from latte.interfaces import Gate, GatedText, GateSubject, HeldBack, LatteError

Gates = Mapping[str, Gate[Any]]
"""Gates by their names in the recipe, in the order in which they are applied."""


def apply_gates(
    gates: Gates, plans: Plans, results: Results, descriptions: Descriptions
) -> tuple[dict[str, GenerateResult], list[HeldBack]]:
    """Return `results` without the texts that gates hold back, and the counts of held-back texts.

    Keys of `plans` and `results` are names of describers. A text that a gate holds back for one
    description is also removed from all other descriptions that use it.
    """
    passing, records = {}, []
    for name, plan in plans.items():
        texts = [*results[name].texts]
        for label in plan.descriptions:
            names = tuple(plan.training.class_names)
            written = {
                row: GatedText(text, names[class_], plan.requests[row].prompt)
                for row, class_ in plan.classes(label).items()
                if (text := results[name].texts[row]) is not None
            }
            subject = GateSubject(label, descriptions[label].scope, names)
            passed, counted = judge_texts(gates, written, subject)
            records += counted
            for row in written.keys() - passed:
                texts[row] = None
        passing[name] = replace(results[name], texts=tuple(texts))
    order = [*descriptions]
    return passing, sorted(records, key=lambda one: order.index(one.description))


def judge_texts(
    gates: Gates, texts: Mapping[int, GatedText], subject: GateSubject
) -> tuple[set[int], list[HeldBack]]:
    """Return the keys of the texts that pass all gates, and one record (`HeldBack`) per gate.

    Each gate judges only the texts that passed all earlier gates.
    """
    left, records = dict(texts), []
    for name, gate in gates.items():
        verdicts = gate.judge([*left.values()], subject) if left else []
        if len(verdicts) != len(left) or not all(isinstance(one, str | None) for one in verdicts):
            raise LatteError(
                f"the gate `{name}` must return None or a reason for each of {len(left)} texts",
                where="gates",
                hint="this is a mistake of the plugin that provides the gate",
            )
        reasons = zip(left, verdicts, strict=True)
        held = {row: reason for row, reason in reasons if reason is not None}
        record = HeldBack(subject.description, name, len(texts), len(held))
        if held:
            first, reason = next(iter(held.items()))
            record = replace(record, reason=clean(reason), example=left[first].text)
        records.append(record)
        left = {row: text for row, text in left.items() if row not in held}
    return {*left}, records
