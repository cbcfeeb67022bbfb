"""The gain that a person's answers measure, shown beside the guard's verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latte.results.finished import FinishedRun
from latte.results.folder import RunFolder
from latte.review.estimate import Estimate
from latte.review.sentences import accuracy_sentence, gain_sentence
from latte.review.session import Review, answers_file


@dataclass(frozen=True)
class Evidence:
    """The estimate of a run's gain from the answers of its review."""

    estimate: Estimate
    compared: str
    """The model that is compared with zero-shot CLIP, in words."""

    @property
    def sentence(self) -> str:
        """The gain with its interval, in words."""
        return gain_sentence(self.estimate, self.compared)

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentences on the gain and on both accuracies."""
        accuracy = accuracy_sentence(self.estimate, self.compared)
        return (self.sentence, accuracy) if accuracy else (self.sentence,)


def read_evidence(folder: Path) -> Evidence | None:
    """Return the evidence on the run in `folder`; None if no answer measures its gain.

    Raises `LatteError` if the answers, or the labels that they are about, are damaged.
    """
    run = FinishedRun(RunFolder(folder))
    if not run.folder.recipe.exists() or not answers_file(run).exists():
        return None
    review = Review(run)
    found = review.estimate()
    return Evidence(found, review.compared) if found.answered else None


def evidence_lines(found: Evidence | None, run: str) -> tuple[str, ...]:
    """Return the sentences of the evidence; if it is None, the command that measures the gain."""
    if found is None:
        return (f"To measure the gain with a few dozen answers: latte review {run}",)
    return found.lines
