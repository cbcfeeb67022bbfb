"""Apply gates, which hold back unusable texts before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from latte.describe.generate import GenerateResult, Results
from latte.describe.plan import Descriptions, Plans
from latte.describe.store import clean
from latte.interfaces import Gate, GatedText, GateSubject, HeldBack, LatteError
from latte.interfaces.provider import provider_of, shown_provider

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
            gated_texts = {
                row: GatedText(text, names[class_], plan.requests[row].prompt)
                for row, class_ in plan.classes(label).items()
                if (text := results[name].texts[row]) is not None
            }
            subject = GateSubject(label, descriptions[label].scope, names)
            passing_rows, held_back = judge_texts(gates, gated_texts, subject)
            records += held_back
            for row in gated_texts.keys() - passing_rows:
                texts[row] = None
        passing[name] = replace(results[name], texts=tuple(texts))
    order = [*descriptions]
    return passing, sorted(records, key=lambda record: order.index(record.description))


def judge_texts(
    gates: Gates, texts: Mapping[int, GatedText], subject: GateSubject
) -> tuple[set[int], list[HeldBack]]:
    """Return the keys of the texts that pass all gates, and one record (`HeldBack`) per gate.

    Each gate judges only the texts that passed all earlier gates.
    """
    remaining_texts, records = dict(texts), []
    for name, gate in gates.items():
        verdicts = gate.judge([*remaining_texts.values()], subject) if remaining_texts else []
        if not _are_verdicts(verdicts, len(remaining_texts)):
            raise LatteError(
                f"the gate `{name}` must return None or a reason for each of "
                f"{len(remaining_texts)} texts",
                where=shown_provider(gate) or "gates",
                hint=provider_of(gate).hint,
            )
        reasons = zip(remaining_texts, verdicts, strict=True)
        held_reasons = {row: reason for row, reason in reasons if reason is not None}
        record = HeldBack(subject.description, name, len(texts), len(held_reasons))
        if held_reasons:
            first_row, reason = next(iter(held_reasons.items()))
            record = replace(record, reason=clean(reason), example=remaining_texts[first_row].text)
        records.append(record)
        remaining_texts = {
            row: text for row, text in remaining_texts.items() if row not in held_reasons
        }
    return {*remaining_texts}, records


def _are_verdicts(verdicts: object, texts: int) -> bool:
    """Return True if `verdicts` has None or a reason for each of the `texts`."""
    if not isinstance(verdicts, Sequence) or isinstance(verdicts, str | bytes):
        return False
    are_valid = all(isinstance(verdict, str | None) for verdict in verdicts)
    return len(verdicts) == texts and are_valid
