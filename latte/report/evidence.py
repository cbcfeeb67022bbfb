"""Read the gain over zero-shot CLIP that a person's answers about images measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from latte.results.finished import FinishedRun
from latte.results.folder import RunFolder
from latte.review.sentences import Evidence, contradictions
from latte.review.session import Review, answers_file


@dataclass(frozen=True)
class Group:
    """Runs on the same images and classes; a person has reviewed at least one of these runs."""

    gains: dict[Path, Evidence]
    differences: tuple[Evidence, ...]
    unasked: tuple[Path, ...]
    contradictions: str


def read_evidence(folder: Path) -> Evidence | None:
    """Return the gain of a run that a person's answers measured.

    Answers that name no class of the run do not count; a sentence in the result reports them. The
    result is None if no answer measures the gain and none names an unknown class.

    Raises `LatteError` if the file of answers or the file of the run's labels is damaged.
    """
    run = FinishedRun(RunFolder(folder))
    if not run.folder.recipe.exists() or not answers_file(run).exists():
        return None
    (found,) = Review(run).evidence()
    return found if found.estimate.answered or found.unknown else None


def read_groups(folders: Iterable[Path]) -> tuple[Group, ...]:
    """Group the runs in `folders` by images and classes; return the groups with a reviewed run."""
    found = {folder: read_evidence(folder) for folder in folders}
    if not any(found.values()):
        return ()
    alike: dict[object, list[Path]] = {}
    for folder in found:
        run = FinishedRun(RunFolder(folder))
        if run.folder.training_images.exists() and run.folder.prototypes.exists():
            alike.setdefault((run.class_names, frozenset(run.training_keys)), []).append(folder)
    groups = []
    for several in alike.values():
        reviewed = [one for one in several if found[one]]
        if not reviewed:
            continue
        review = Review(*(FinishedRun(RunFolder(folder)) for folder in reviewed))
        stored = review.stored()
        together = review.evidence(stored)
        gains, differences = dict(zip(reviewed, together, strict=False)), together[len(reviewed) :]
        unasked = tuple(one for one in several if not found[one])
        groups.append(Group(gains, differences, unasked, contradictions(stored.contradictions)))
    return tuple(groups)


def evidence_lines(found: Evidence | None) -> tuple[str, ...]:
    """Return the reason why no answer measures the gain yet; empty if there are no answers.

    The result is empty if answers measure the gain: `verdict_words` then shows this gain.
    """
    return () if found is None or found.estimate.answered else found.lines
