"""Put the end of `latte review` and of `latte describe` on the screen."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from latte.interfaces.record import DescribeFacts
from latte.io.paths import relative
from latte.report.numbers import count, duration, plural
from latte.report.outcome import answered_sentences
from latte.report.screen import Bar, Screen, Step
from latte.results.answers import Answer
from latte.results.folder import RunFolder
from latte.results.measured_gain import MeasuredGain
from latte.results.run import Run
from latte.results.stored import explained


def review_screen(
    run: Run, evidence: MeasuredGain, answers: Iterable[Answer], *, learns: bool
) -> Screen:
    """Return the screen of a review: its answers by class, and what they measure.

    `learns` is true if there are answers that no run has learnt from.
    """
    names = [answer.label or "no class" for answer in answers]
    folder = relative(run.folder.path)
    result, *details = (
        answered_sentences(evidence.estimate) if evidence.estimate.answered else evidence.lines
    )
    if evidence.estimate.answered and evidence.unknown:
        details.append(evidence.unknown)
    return Screen(
        status=plural(len(names), "answer"),
        headings=("class", "answers", ""),
        bars=[Bar(name, number) for name, number in Counter(names).most_common()],
        result=result,
        trust=" ".join(details),
        steps=[_after_review(run, evidence, folder, learns=learns), *_report(run.folder)],
    )


def _after_review(run: Run, evidence: MeasuredGain, folder: str, *, learns: bool) -> Step:
    if learns:
        line = shlex.join(["latte", "review", folder, "--learn"])
        return Step("next", line, ("a new run learns from your answers", "learn from them"))
    if run.record.judge.strength < 1 and evidence.estimate.better == "adapted":
        line = shlex.join(["latte", "predict", folder, "IMAGES", "--use", "adapted"])
        return Step("next", line, ("use the adapted model",))
    return Step("next", shlex.join(["latte", "review", folder]), ("go on answering",))


def _report(folder: RunFolder) -> list[Step]:
    page = folder.path / "report" / "index.html"
    return [Step("report", relative(page))] if page.exists() else []


def describe_screen(folder: RunFolder, facts: DescribeFacts, recipe: str, seconds: float) -> Screen:
    """Return the screen of stage `describe`: numbers of photos with a text, by description."""
    photos, described = _texts(folder.descriptions)
    failed = facts.failed
    reason = f", most often with “{failed.reason}”" if failed else ""
    held_back = sum(record.held_back for record in facts.held_back)
    trust = (
        f"{count(failed.count)} of {count(failed.requests)} requests failed{reason}."
        if failed
        else "No request failed."
    )
    run = shlex.join(["latte", "run", recipe])
    if not (described or failed or held_back):
        return Screen(
            status=f"no text to write, in {duration(seconds)}",
            headings=("", "", ""),
            bars=(),
            result="This recipe asks no describer about photos.",
            trust="Nothing was sent.",
            steps=[Step("next", run)],
        )
    if held_back:
        trust += f" Gates held {plural(held_back, 'text')} back."
    return Screen(
        status=f"{plural(photos, 'photo')} described in {duration(seconds)}",
        headings=("description", "photos", ""),
        bars=[Bar(name, number) for name, number in described.most_common()],
        result=f"{plural(described.total(), 'text')} are stored, for all runs.",
        trust=trust,
        steps=[
            Step("next", run, ("train with these texts",)),
            Step("texts", relative(folder.descriptions)),
        ],
    )


def _texts(path: Path) -> tuple[int, Counter[str]]:
    """Return the number of images, and for each description how many have a text."""
    photos, described = 0, Counter[str]()
    with explained(path), path.open(encoding="utf-8") as file:
        for line in file:
            photos += 1
            texts = json.loads(line)["descriptions"]
            described.update(name for name, text in texts.items() if text.get("text"))
    return photos, described
