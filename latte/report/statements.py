"""List everything that terminal, page and model card say about a run's result, in one order.

Three short statements come first: result, trust and next step. Terminal and page show them at once.
The long ones follow: under `--verbose`, under a fold of the page, and in the model card.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from latte.interfaces import QuestionCounts, RunRecord, RunResults
from latte.io.paths import relative
from latte.report.accuracy import accuracy_statements, gain_sentence, measured_models
from latte.report.next_step import label_groups, naming_time
from latte.report.numbers import count, percent, plural
from latte.report.outcome import Outcome, outcome_of
from latte.report.statement import Command, Statement
from latte.report.taught import sure_sentence
from latte.report.verdict import NO_GUARD, name_statements, verdict_statements
from latte.results.answers import TITLES
from latte.results.folder import RunFolder
from latte.results.measured_gain import MeasuredGain
from latte.results.oracle import oracle_mark
from latte.results.run import Run
from latte.results.run_answers import has_answers, read_evidence
from latte.results.taught_runs import has_model_answers, label_files, person_files

MIN_IMAGES = 25
"""With fewer training images, no sentence says which classes occur: most names have no image."""

_ALL_OCCUR = "Images were found for every class name."
_CHECK_NAMES = "Check these names: most CLIP models know only correctly spelt English words."
_MEASURE = "To measure the gain with a few dozen answers"
_TAUGHT = (
    "On fourteen image sets that had chosen nothing, one true label per group raised the mean "
    "accuracy on new images from 22 % (zero-shot CLIP) to 42 %."
)
"""See docs/results.md, "On blind sets"."""
_SHOWN_NAMES = 3


def statements(results: RunResults, run: str | None = None) -> list[Statement]:
    """Return everything to say about a run's result: short statements, then the long ones.

    Commands name the run folder by `run`; the default is `folder_name`.
    """
    folder = run or folder_name(results)
    return [*outcome(results, folder).statements(), *details(results, folder)]


def outcome(results: RunResults, run: str | None = None) -> Outcome:
    """Return what a screen shows of a run: result, trust and next step."""
    return outcome_of(results, read_evidence(results.folder), run or folder_name(results))


def folder_name(results: RunResults) -> str:
    """Return the run folder as a person types it: relative to the working directory.

    A folder that is not below it is named with its parent only, because a page must not show where
    a person keeps files.
    """
    shown = relative(results.folder)
    if not Path(shown).is_absolute():
        return shown
    return f"{results.folder.parent.name}/{results.folder.name}"


def details(results: RunResults, run: str | None = None) -> list[Statement]:
    """Return the long statements on a run's result, the most important first."""
    record, evidence = results.record, read_evidence(results.folder)
    models, folder = measured_models(record), run or folder_name(results)
    is_answered = _answers_measure(results, evidence)
    goal = None if models.models or is_answered else _goal_of_answers(results)
    headline = [] if models.models else name_statements(results, folder)
    is_measured, is_doubted = bool(models.models), bool(headline)
    return [
        *headline,
        *_oracle(record.recipe),
        *([_ask(results, None if headline else folder)] if goal == "names" else []),
        *verdict_statements(
            results, folder, evidence, is_measured=is_measured, is_doubted=is_doubted
        ),
        *([_measure(folder)] if goal == "gain" and not headline else []),
        *_sure_labels(record),
        *_corrected(record.recipe),
        *_encoders(results),
        *accuracy_statements(
            models,
            record.judge.verdict,
            is_answered=is_answered,
            copies=record.evaluate.near_copies,
        ),
        *([Statement("note", NO_GUARD)] if record.judge.verdict is None else []),
        *_changes(results),
        *_names(results, None if goal == "names" or headline else folder),
        *_failed_requests(results, folder),
        *_questions(results),
    ]


def _answers_measure(results: RunResults, evidence: MeasuredGain | None) -> bool:
    """Return True if a person's answers measure the gain: drawn at random, or left out in turn."""
    answers = results.record.train.answers
    is_drawn = evidence is not None and evidence.estimate.answered > 0
    return is_drawn or (answers is not None and answers.measured is not None)


def _goal_of_answers(results: RunResults) -> Literal["names", "gain"]:
    """Return what a person's first or next answers bring to a run whose gain is not measured."""
    run = Run(RunFolder(results.folder))
    is_answered = person_files(results.record.recipe) or has_answers(run)
    return "gain" if is_answered else "names"


def _sure_labels(record: RunRecord) -> list[Statement]:
    """Return how many confident labels of own images are right, if left-out answers show it."""
    sure = record.evaluate.sure_labels
    return [Statement("note", sure_sentence(sure))] if sure is not None and sure.labels else []


def label_use(recipe: Mapping[str, Any]) -> list[Statement]:
    """Return statements on models that used labels of training images; empty if none did."""
    return [*_oracle(recipe), *_corrected(recipe)]


def asked(counts: QuestionCounts) -> str:
    """Return the number of questions with results, as `40 (17 used, 3 not used)`.

    If a labeler asks twice about an image, the numbers of answers count images.
    """
    numbers = [
        f"{count(counts.kept)} used",
        f"{count(counts.contradictory)} not used",
    ]
    if counts.unanswered:
        numbers.append(f"{plural(counts.unanswered, 'question')} without an answer")
    if total := counts.input_tokens + counts.output_tokens:
        numbers.append(f"{count(total)} tokens")
    return f"{count(counts.questions)} ({', '.join(numbers)})"


def _oracle(recipe: Mapping[str, Any]) -> list[Statement]:
    mark = oracle_mark(recipe)
    return [Statement("label-use", mark)] if mark else []


def _corrected(recipe: Mapping[str, Any]) -> list[Statement]:
    files = person_files(recipe)
    model_files = [*filter(has_model_answers, label_files(recipe))]
    texts = {
        f"Corrected: labels that a person gave were used, from {', '.join(files)}.": files,
        f"Answers of a model were used, from {', '.join(model_files)}.": model_files,
    }
    return [Statement("note", text) for text, used in texts.items() if used]


def _encoders(results: RunResults) -> list[Statement]:
    """Return statements on the encoders beside the CLIP, and on what they mean for new images."""
    if results.record.judge.used == "zero-shot":
        return []
    encoders = results.record.train.encoders
    used = [encoder.name for encoder in encoders if encoder.classifies]
    unused = [encoder.name for encoder in encoders if not encoder.classifies]
    notes = []
    if used:
        notes.append(
            f"The classifier uses {' and '.join(used)} beside the CLIP: each of these models "
            "encodes every new image."
        )
    if unused:
        needs = "" if used else ": new images need the CLIP alone"
        notes.append(f"The classifier does not use {' and '.join(unused)}{needs}.")
    return [Statement("note", note) for note in notes]


def _ask(results: RunResults, run: str | None) -> Statement:
    """Return what a person can name, how long that takes, and the command that asks for it.

    The command is left out if `run` is None, because an earlier statement has it.
    """
    groups = label_groups(results)
    text = (
        f"{plural(groups, 'group')} of images to name, {naming_time(groups)}: a new run learns the "
        "names. "
        f"{_TAUGHT} The task “{TITLES['evidence']}” measures the gain of this run."
    )
    commands = (Command("To answer in the browser", _review(run)),) if run else ()
    return Statement("ask", text, commands)


def _review(run: str) -> str:
    return f"latte review {shlex.quote(run)}"


def _measure(run: str) -> Statement:
    """Return the command with which a person's answers measure the gain."""
    return Statement("note", "", (Command(_MEASURE, _review(run)),))


def _changes(results: RunResults) -> list[Statement]:
    """Return the number of training images with another label; nothing if zero-shot was kept."""
    none, verdict = results.none_images, results.record.judge.verdict
    total = none + sum(flow.images for flow in results.label_flows)
    if not total or (verdict is not None and not verdict.adapt):
        return []
    changed = none + sum(flow.images for flow in results.label_flows if flow.frozen != flow.adapted)
    text = (
        f"The adapted model gives {count(changed)} of {plural(total, 'training image')} "
        f"({percent(changed / total, total)}) another label than zero-shot CLIP did."
    )
    return [Statement("note", text)]


def _names(results: RunResults, run: str | None) -> list[Statement]:
    """Return the class names that no training image clearly shows, with advice on them.

    The command that corrects groups of images is left out if `run` is None.
    """
    record, names = results.record, results.record.evaluate.unsupported
    if names is None or record.data.training_images < MIN_IMAGES:
        return []
    if not names:
        return [Statement("note", _ALL_OCCUR)]
    shown = ", ".join(names[:_SHOWN_NAMES])
    hidden = len(names) - _SHOWN_NAMES
    suffix = f" and {count(hidden)} more" if hidden > 0 else ""
    text = (
        f"Names that no image clearly shows: {shown}{suffix}. {_CHECK_NAMES} If images show them, "
        "these images have labels of other classes."
    )
    purpose = f"To correct whole groups of images, choose the task “{TITLES['clusters']}” of"
    commands = (Command(purpose, _review(run)),) if run else ()
    return [Statement("names", text, commands, names=names)]


def _failed_requests(results: RunResults, run: str) -> list[Statement]:
    """Return the number of failed requests, and the command that sends them again."""
    failed = results.record.describe.failed
    if failed is None:
        return []
    text = (
        f"{count(failed.count)} of {count(failed.requests)} requests for descriptions failed, most "
        f"often with “{failed.reason}”."
    )
    repeat = Run(RunFolder(results.folder)).repeat_command(name=run)
    return [Statement("note", text, (Command("To send them again", repeat),))]


def _questions(results: RunResults) -> list[Statement]:
    """Return the describer's questions, its reliability, and the gain expected from its answers."""
    facts = results.record.train
    purposes = [f"{counts.purpose} {asked(counts)}" for counts in facts.questions]
    texts: Sequence[str | None] = (
        f"Questions about {', '.join(purposes)}." if purposes else None,
        f"{plural(facts.sent_images, 'image')} went to {facts.sent_to}." if facts.sent_to else None,
        facts.reliability,
        gain_sentence(results),
    )
    return [Statement("note", text) for text in texts if text]
