"""What a recipe's gates hold back, of the texts that its describers wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from latte.describe.gating import apply_gates
from latte.describe.generate import GenerateResult
from latte.describe.plan import Plan
from latte.files import write_json
from latte.interfaces import DescriptionType, HeldBack
from latte.run.folder import RunFolder
from latte.run.stored import read_stored
from latte.run.workspace import Workspace


def hold_back(
    workspace: Workspace,
    plans: Mapping[str, Plan],
    results: Mapping[str, GenerateResult],
    descriptions: Mapping[str, DescriptionType[Any]],
) -> dict[str, GenerateResult]:
    """`results` by describer, without what gates hold back; counts are written down and said."""
    path = workspace.folder.gates
    if not workspace.recipe.gates:
        path.unlink(missing_ok=True)
        return dict(results)
    gates = {choice.label: workspace.build(choice) for choice in workspace.recipe.gates}
    passed, records = apply_gates(gates, plans, results, descriptions)
    write_json(path, [asdict(record) for record in records])
    for line in summary(records):
        workspace.progress.say(line)
    return passed


def read_held_back(folder: RunFolder) -> tuple[HeldBack, ...]:
    """What gates held back in this run, by description and gate; empty without gates."""
    if not folder.gates.exists():
        return ()
    return tuple(read_stored(folder.gates, list[HeldBack]))


def summary(records: Sequence[HeldBack]) -> Iterator[str]:
    """A line for each description, and a warning where nothing of it is left."""
    for description, group in groupby(records, key=lambda record: record.description):
        of = [*group]
        total, held_back = of[0].texts, sum(record.held_back for record in of)
        if not held_back:
            yield f"gates: all {total:,} texts of {description} passed"
            continue
        parts = [f"{record.gate} {record.held_back:,}" for record in of if record.held_back]
        counts = f"{held_back:,} of {total:,} texts of {description}"
        yield f"gates held back {counts} ({', '.join(parts)})"
        if held_back == total:
            yield (
                f"warning: gates left no text of {description}; the templates of frozen labels "
                f"take its place. An example, held back by {_first(of)}"
            )


def _first(records: Sequence[HeldBack]) -> str:
    record = next(one for one in records if one.held_back)
    return f"{record.gate} as {record.reason}: {record.example}"
