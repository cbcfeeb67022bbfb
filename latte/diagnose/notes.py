"""What a reader has to know to read a diagnosis right; only what applies."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from latte.diagnose.diagnosis import Diagnosis
from latte.diagnose.ranks import FEWEST
from latte.diagnose.several import Diagnoses
from latte.report.numbers import plural
from latte.report.plain import one_line

_BY_CHANCE = (
    "By chance: the |rho| that one unrelated measure in twenty reaches; – where too little varies."
)


def notes(found: Diagnoses) -> list[str]:
    """For one run or for several."""
    single = len(found.runs) == 1
    about_gain = _on_classes(found.runs[0]) if single else _on_relations(found)
    return [*_on_labels(found), *about_gain]


def _on_labels(found: Diagnoses) -> Iterator[str]:
    """Where a label reached more than it seems."""
    oracles = [run.run.folder.name for run in found.runs if run.run.oracle]
    if oracles:
        yield (
            f"True labels of the training images were used by {', '.join(map(one_line, oracles))} "
            "(an oracle): what stands above as label-free is not, there."
        )
    names = sorted({one_line(name) for run in found.runs for name in run.leaking})
    if names:
        yield (
            f"The prompt of {', '.join(f'`{name}`' for name in names)} tells the describer the "
            "frozen label, so that its texts may repeat it without having seen it."
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
        f"the measure does not tell which classes gain. {_BY_CHANCE} A class has a median of "
        f"{plural(int(median(images)), 'test image')}: the fewer, the more chance hides. One "
        "class can gain at the cost of another."
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
            "other: rho then is less sure than its number of runs suggests."
        )
