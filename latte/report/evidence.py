"""Read the gain over zero-shot CLIP that a person's answers about images measured."""

from __future__ import annotations

from pathlib import Path

from latte.results.evidence import Evidence
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.review.session import Review


def read_evidence(folder: Path) -> Evidence | None:
    """Return the gain of a run that a person's answers measured.

    Answers that name no class of the run do not count; a sentence in the result reports them. The
    result is None if no answer measures the gain and none names an unknown class.

    Raises `LatteError` if the file of answers or the file of the run's labels is damaged.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.runs import read_evidence
        >>> read_evidence(Path("runs/demo-1a2b3c4d")) is None
        True
    """
    run = Run(RunFolder(folder))
    if not run.folder.results.exists() or not run.folder.review.exists():
        return None
    evidence = Review(run).evidence()
    return evidence if evidence.estimate.answered or evidence.unknown else None
