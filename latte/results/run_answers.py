"""The answers that a person gave in a run's review, and the gain that they measure.

Answers about images that were drawn at random measure the gain of the reviewed run's adapted model
over zero-shot CLIP, even if the guard did not accept this model.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from latte.data.sources.class_lookup import ClassLookup
from latte.interfaces import LatteError
from latte.results.answers import (
    Answer,
    is_about,
    latest,
    measuring,
    read_answers,
    read_class_changes,
    with_current_classes,
)
from latte.results.class_lists import digest_of_classes
from latte.results.estimate import estimate
from latte.results.folder import RunFolder
from latte.results.measured_gain import MeasuredGain, unknown_classes
from latte.results.population import Population, population
from latte.results.run import Run
from latte.results.stored import same_count


def read_evidence(folder: Path) -> MeasuredGain | None:
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
    if not run.folder.results.exists() or not run.folder.answer_files:
        return None
    evidence = RunAnswers(run).evidence()
    return evidence if evidence.estimate.answered or evidence.unknown else None


Signature = tuple[tuple[str, ...], frozenset[tuple[str, str]]]
"""Class names, and answers by content key."""


@dataclass(frozen=True)
class Stored:
    """The answers about the images of a run, read once."""

    lines: tuple[Answer, ...]
    """The answers in the order of the files, undone ones included."""
    class_names: tuple[str, ...]
    """The class names of the run, with the changes that a person made since."""
    given: Mapping[str, str]
    """The class, or the kind `none`, that a person gave to each image before the run."""

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The newest answer about each image, by content key, without undone answers.

        Answers that name no class of the run, or say that none of other classes fits, are left out;
        their images are asked about again.
        """
        return self._known(self._latest)

    @cached_property
    def _latest(self) -> dict[str, Answer]:
        return latest(self.lines)

    @cached_property
    def measuring(self) -> dict[str, Answer]:
        """The answers about images that were drawn at random, by content key."""
        return self._known(measuring(self.lines))

    @cached_property
    def teaching(self) -> dict[str, str]:
        """The answers that teach: those that name a class, or the kind `none`, by content key."""
        return {
            key: answer.label or answer.kind
            for key, answer in self.answers.items()
            if answer.kind in ("class", "none")
        }

    @cached_property
    def signature(self) -> Signature:
        """The class names, and the answers that teach: a model that learnt them has one value."""
        return self.class_names, frozenset(self.teaching.items())

    @cached_property
    def taught(self) -> dict[str, str]:
        """The part of `given` that is about images with answers."""
        keys = {answer.key for answer in self.lines}
        return {key: name for key, name in self.given.items() if key in keys}

    @property
    def unused(self) -> int:
        """Number of images whose answer names another class than the one that taught the run."""
        used = {key: name for key, name in self.taught.items() if name != "none"}
        labels = {key: answer.label for key, answer in self.answers.items() if answer.label}
        return len({key for key, _ in used.items() ^ labels.items()})

    def answered_by(self, time: str, keys: Iterable[str]) -> set[str]:
        """Return those of the content keys `keys` whose newest answer is from `time` or before."""
        answers = self.answers
        return {key for key in keys if key in answers and answers[key].time <= time}

    @cached_property
    def unknown(self) -> Counter[str | None]:
        """Number of answers per name that is no class of the run, such as a class's old name."""
        class_names = {None, *self.class_names}
        labels = (answer.label for answer in self._latest.values())
        return Counter(label for label in labels if label not in class_names)

    def _known(self, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        classes = digest_of_classes(self.class_names)
        return {
            key: answer
            for key, answer in answers.items()
            if answer.label not in self.unknown and is_about(answer, classes)
        }


_FileState = tuple[int, ...] | None


def _state_of(file: Path) -> _FileState:
    """Return what changes when a file is written; None if there is none, or it is a link."""
    try:
        status = file.lstat()
    except OSError:
        return None
    is_file = stat.S_ISREG(status.st_mode)
    return (status.st_ino, status.st_size, status.st_mtime_ns) if is_file else None


class RunAnswers:
    """A person's answers about the images of a run, in the file `review.jsonl` beside its folder.

    Other processes may append answers to this file at any time. Raises `LatteError` if a file of
    the run is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.file: Path = run.folder.review
        self._newest: tuple[Sequence[_FileState], Stored] | None = None
        self.labelled: frozenset[str] = frozenset(run.rows.corrected)
        """The content keys of the images whose class a person gave before the run."""

    @cached_property
    def population(self) -> Population:
        """The images in random order, with the labels of the run's two models."""
        return population_of(self.run, self.labelled)

    def stored(self) -> Stored:
        """Read the answers, with class names as the run spells them; again if a file changed."""
        states = [_state_of(file) for file in self.run.folder.answer_files]
        if self._newest is None or None in states or self._newest[0] != states:
            self._newest = states, self._read()
        return self._newest[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the run, with the changes that a person made since."""
        return self.stored().class_names

    def _read(self) -> Stored:
        keys, names = frozenset(self.run.rows.training_keys), current_names(self.run)
        spelt = _speller(names)
        answers = (answer for answer in self.lines() if answer.key in keys)
        lines = tuple(_with_label(answer, spelt) for answer in answers)
        given = {
            key: "none" if label < 0 else names[label]
            for key, label in self.run.rows.corrected.items()
        }
        return Stored(lines, names, given)

    def lines(self) -> list[Answer]:
        """Read the files of answers, with the names that their classes have now.

        The files may be untrusted; a link raises a `LatteError`.
        """
        files = self.run.folder.answer_files
        answers = [answer for file in files for answer in _read(file)]
        return with_current_classes(answers, read_class_changes(files))

    def answers(self) -> dict[str, Answer]:
        """Return the newest answer about each image, by content key, without undone answers."""
        return self.stored().answers

    def evidence(self, stored: Stored | None = None) -> MeasuredGain:
        """Return the estimated gain of the adapted model."""
        stored = self.stored() if stored is None else stored
        names = stored.class_names
        return MeasuredGain(
            estimate(self.population, stored.measuring, names),
            len(stored.answers.keys() - stored.measuring.keys()),
            unknown_classes(stored.unknown, names, self.file),
        )


def current_names(run: Run) -> tuple[str, ...]:
    """Return the class names of a run, with the changes that a person made while answering."""
    return read_class_changes(run.folder.answer_files).current(run.class_names)


def _speller(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function that spells a class name as in `names`; other names stay as they are."""
    lookup = ClassLookup(names)

    @cache
    def spelt(name: str) -> str:
        with suppress(LatteError):  # an unknown or ambiguous name
            return names[lookup.label(name, where="review.jsonl")]
        return name

    return spelt


def _with_label(answer: Answer, spelt: Callable[[str], str]) -> Answer:
    label = answer.label and spelt(answer.label)
    return answer if label == answer.label else replace(answer, label=label)


def has_answers(run: Run) -> bool:
    """Return True if a person answered about images of the run."""
    return bool(run.folder.answer_files) and bool(RunAnswers(run).stored().lines)


def waiting_answers(run: Run) -> int:
    """Return the number of images whose answer the run has not learnt."""
    return RunAnswers(run).stored().unused if run.folder.answer_files else 0


def _read(file: Path) -> list[Answer]:
    if file.is_symlink():
        what = "this is a link, and a review reads and writes no file through one"
        raise LatteError(what, where=str(file), hint="replace it by a file")
    return read_answers(file)


def population_of(run: Run, labelled: frozenset[str]) -> Population:
    """Return the images of a run in random order, without series whose class a person gave."""
    keys, adapted, used = run.rows.training_keys, run.rows.adapted_labels, run.rows.pseudo_labels
    counts = [len(keys), len(adapted.adapted), len(used.adapted)]
    same_count(run.folder.pseudo_labels, "training images", counts)
    return population(keys, adapted, used, labelled, run.rows.series)
