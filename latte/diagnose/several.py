"""The runs in some folders, diagnosed, and how their measures go with their gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.compare.finding import read_runs
from latte.diagnose.diagnosis import Diagnosis, diagnose_run
from latte.diagnose.relation import Relation, relate_runs
from latte.diagnose.subject import read_subject
from latte.diagnose.texts import FrozenClips
from latte.interfaces import LatteError, Progress
from latte.registry.registry import Registry


@dataclass(frozen=True)
class Diagnoses:
    """At least one run."""

    runs: tuple[Diagnosis, ...]
    relations: tuple[Relation, ...]
    """Over the runs with labels: label-free measures first, then those that need labels. None for
    a single run, which has nothing to relate."""
    skipped: tuple[LatteError, ...]
    """Folders that are not among the runs, and why."""


def diagnose_runs(paths: Sequence[Path], registry: Registry, progress: Progress) -> Diagnoses:
    """Diagnose the finished runs in `paths`: run folders, or folders of them.

    Raises `LatteError` if no run is usable.
    """
    runs, skipped = read_runs(paths)
    clips = FrozenClips()
    found = []
    for run in runs:
        progress.say(f"diagnose {run.folder.name}")
        try:
            found.append(diagnose_run(read_subject(run, registry, progress, clips), progress))
        except LatteError as error:
            skipped.append(error)
    if not found:
        raise skipped[0] if len(skipped) == 1 else LatteError("\n".join(map(str, skipped)))
    return Diagnoses(tuple(found), tuple(relate(found)), tuple(skipped))


def relate(found: Sequence[Diagnosis]) -> list[Relation]:
    """Each measure against the gain, over the runs that have labels; none for a single run."""
    if len(found) == 1:
        return []
    labelled = [(one.all_sections, one.labelled.gain) for one in found if one.labelled]
    return relate_runs([sections for sections, _ in labelled], [gain for _, gain in labelled])
