"""Write notes on a diagnosis, and export it as JSON for other programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from statistics import median
from typing import Any

from latte.evaluate.rank_correlation import FEWEST, Correlation
from latte.interfaces import Verdict
from latte.io.redaction import one_line
from latte.report.diagnosis.diagnosis import Diagnoses, Diagnosis
from latte.report.diagnosis.labelled import Labelled
from latte.report.diagnosis.measures import Measure, Measurement, Section
from latte.report.numbers import plural

_BY_CHANCE = (
    "By chance: the |rho| that one unrelated measure in twenty reaches; – where too little varies."
)


def notes(found: Diagnoses) -> list[str]:
    """Return the notes for these runs."""
    single = len(found.runs) == 1
    about_gain = _on_classes(found.runs[0]) if single else _on_relations(found)
    return [*_on_labels(found), *about_gain]


def as_json(found: Diagnoses) -> dict[str, Any]:
    """Return data for JSON: all runs, their measures, and correlations with the gain.

    Missing numbers are null.
    """
    return {
        "runs": [_run(one) for one in found.runs],
        "relations": [_relation(one.measure, one.correlation) for one in found.relations],
        "measures": {measure.key: _meaning(measure) for measure in _measures(found)},
        "notes": notes(found),
        "skipped": [{"folder": one.where, "why": one.what} for one in found.skipped],
    }


def _on_labels(found: Diagnoses) -> Iterator[str]:
    """Yield notes on runs that used labels: their label-free measures depend on labels too."""
    oracles = [run.run.folder.name for run in found.runs if run.run.oracle]
    if oracles:
        yield (
            f"True labels of the training images were used by {', '.join(map(one_line, oracles))} "
            "(an oracle): their label-free measures depend on labels."
        )
    names = sorted({one_line(name) for run in found.runs for name in run.leaking})
    if names:
        yield (
            f"The prompt of {', '.join(f'`{name}`' for name in names)} contains the frozen label, "
            "so that texts may repeat it whether or not the image shows it."
        )


def _on_classes(run: Diagnosis) -> Iterator[str]:
    if run.labelled is None:
        yield "There are no labelled images in this run, so its gain is not known."
        return
    relations = run.labelled.relations
    if all(one.correlation.pairs < FEWEST for one in relations):
        yield (
            f"Fewer than {FEWEST} classes have test images: too few to relate measures of classes "
            "to their gains."
        )
        return
    images = [count for count in run.labelled.test_images_by_class if count]
    yield (
        "rho: Spearman's rank correlation over classes, with a 95 % bootstrap interval; near 0: "
        f"the measure does not show which classes gain. {_BY_CHANCE} A class has a median of "
        f"{plural(int(median(images)), 'test image')}: with few images, gains are mostly chance. "
        "A class can gain at the cost of another."
    )


def _on_relations(found: Diagnoses) -> Iterator[str]:
    labelled = [run for run in found.runs if run.labelled]
    data = [run.run.data for run in labelled]
    sets = len({one.digest for one in data})
    if len(labelled) < len(found.runs):
        yield f"{plural(len(found.runs) - len(labelled), 'run')} without labelled images: no gain."
    runs = (
        f"{plural(len(labelled), 'run')} with a known gain, on {plural(sets, 'set')} of test images"
    )
    if len(labelled) < FEWEST:
        yield f"{runs}: too few to relate measures to gains, which takes {FEWEST} runs."
        return
    yield (
        f"{runs}. rho: Spearman's rank correlation over runs. {_BY_CHANCE} "
        f"{len(found.relations)} measures are listed, so some reach it by chance."
    )
    if len({one.name for one in data}) < len(labelled):
        yield (
            "Runs on the same images, or on other draws from them, are not independent of each "
            "other: rho is then less certain than its number of runs suggests."
        )


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
    return {"outcome": verdict.outcome, **asdict(verdict)}


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
    return {"measure": measure.key, **{key: _number(one) for key, one in vars(found).items()}}


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
