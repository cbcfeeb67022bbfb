"""A diagnosis for other programs: plain data for JSON; null is a figure that there is not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from latte.diagnose.diagnosis import Diagnosis
from latte.diagnose.labelled import Labelled
from latte.diagnose.measure import Measure, Measurement, Section
from latte.diagnose.notes import notes
from latte.diagnose.ranks import Correlation
from latte.diagnose.several import Diagnoses
from latte.interfaces import Verdict


def as_json(found: Diagnoses) -> dict[str, Any]:
    """All runs, what their measures mean, and how these go with the gains."""
    return {
        "runs": [_run(one) for one in found.runs],
        "relations": [_relation(one.measure, one.correlation) for one in found.relations],
        "measures": {measure.key: _meaning(measure) for measure in _measures(found)},
        "notes": notes(found),
        "skipped": [{"folder": one.where, "why": one.what} for one in found.skipped],
    }


def _run(one: Diagnosis) -> dict[str, Any]:
    run = one.run
    return {
        "folder": str(run.folder),
        "method": run.method,
        "seed": run.seed,
        "dataset": {"name": run.data.name, "digest": run.data.digest},
        "training_images": one.training_images,
        "classes": len(one.class_names),
        "verdict": _verdict(one.verdict) if one.verdict else None,
        "values": _values(one.sections),
        "labelled": _labelled(one, one.labelled) if one.labelled else None,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome,
        "probability": verdict.probability,
        "strength": verdict.strength,
        "reason": verdict.reason,
        "signals": dict(verdict.signals),
    }


def _values(sections: Iterable[Section]) -> dict[str, Any]:
    return {one.measure.key: _value(one) for section in sections for one in section.measurements}


def _value(one: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {"value": _number(one.value)}
    if one.chance is not None:
        found["by_chance"] = _number(one.chance)
    if one.interval is not None:
        found |= {"low": one.interval.low, "high": one.interval.high}
    return found


def _labelled(one: Diagnosis, known: Labelled) -> dict[str, Any]:
    return {
        "test_images": known.test_images,
        "values": _values([known.section]),
        "classes": [
            {
                "name": name,
                "test_images": known.test_images_by_class[index],
                "recall_gain": _number(known.class_gains[index]),
                "values": {
                    relation.measure.key: _number(relation.values[index])
                    for relation in known.relations
                },
            }
            for index, name in enumerate(one.class_names)
        ],
        "class_relations": [
            _relation(relation.measure, relation.correlation) for relation in known.relations
        ],
    }


def _relation(measure: Measure, found: Correlation) -> dict[str, Any]:
    return {
        "measure": measure.key,
        "pairs": found.pairs,
        "rho": _number(found.rho),
        "by_chance": _number(found.by_chance),
        "low": _number(found.low),
        "high": _number(found.high),
    }


def _measures(found: Diagnoses) -> Iterable[Measure]:
    for run in found.runs:
        for section in run.all_sections:
            yield from (one.measure for one in section.measurements)
        yield from (one.measure for one in run.labelled.relations) if run.labelled else ()


def _meaning(measure: Measure) -> dict[str, str]:
    return {
        "name": measure.name,
        "unit": measure.unit,
        "reading": measure.reading,
        "source": measure.source,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
