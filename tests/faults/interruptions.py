"""`kill -9`, SIGINT and SIGTERM at random moments of every stage, and two runs at once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from tests.faults.outcome import FaultOutcome, outcome
from tests.faults.place import Ended, FaultPlace
from tests.faults.site import Site

START = "start"
STAGES = ("data", "zero-shot", "describe", "train", "judge", "evaluate", "controls", "report")


def killed(site: Site, times: int) -> list[FaultOutcome]:
    """Send `kill -9` at `times` moments, from before the first stage to after the last."""
    done: Counter[str] = Counter()
    places: dict[str, list[FaultPlace]] = {}
    random = Random(0)
    while done.total() < times:
        place = site.place()
        for stage in (START, *STAGES):
            if done.total() < times and interrupt(site, place, stage, random, signal.SIGKILL):
                done[stage] += 1
                places.setdefault(stage, []).append(place)
        place.finish()
    undisturbed = site.whole()
    return [
        outcome(f"kill -9: {stage}", places[stage], undisturbed, done[stage], "Killed (exit -9)")
        for stage in (START, *STAGES)
        if done[stage]
    ]


def told_to_end(site: Site, times: int) -> list[FaultOutcome]:
    """Send SIGINT, and SIGTERM as schedulers do, in every stage."""
    # Background processes of a shell ignore SIGINT, and so do their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return [
        _told_to_end(site, f"{name}: every stage", number, code, word)
        for name, number, code, word in (
            ("SIGINT", signal.SIGINT, 130, "Interrupted."),
            ("SIGTERM", signal.SIGTERM, 143, "Terminated."),
        )
    ]


def _told_to_end(site: Site, fault: str, number: int, code: int, word: str) -> FaultOutcome:
    place, random, count = site.place(), Random(1), 0
    for stage in STAGES:
        ended = interrupt(site, place, stage, random, number)
        if ended is None or (ended.code in (0, -number) and "report\t" in ended.output):
            continue  # the signal came too late: the run was finished, and Python was about to exit
        count += 1
        assert ended.code == code, (stage, ended.code, ended.output)
        assert "Traceback" not in ended.output, ended.output
        assert f"{word} Start the same command again" in ended.output, ended.output
        assert not place.leftovers(), place.leftovers()
    place.finish()
    saw = f"{word} Start the same command again to continue. (exit {code})"
    return outcome(fault, [place], site.whole(), count, saw)


def twice_at_once(site: Site, times: int) -> list[FaultOutcome]:
    """Start a second run of a recipe while the first one runs."""
    place = site.place()
    first_run = place.start(FAULTS_PAUSE="3")  # the first still runs when the second starts
    assert place.wait_until(partial(place.has_begun, "describe"), first_run)
    stages = place.stages
    stage_text = stages.read_text()
    second_run = place.end(place.start())
    stages.write_text(stage_text)
    assert second_run.code == 2, second_run.output
    ended = place.end(first_run)
    assert ended.code == 0, ended.output
    return [outcome("two runs at once", [place], site.whole(), 1, second_run)]


def export_killed(site: Site, times: int) -> list[FaultOutcome]:
    """Send `kill -9` while an export is written, and export again."""
    place = site.place()
    command = ("export", str(place.finish()), "--format=onnx", "--output=exported", "--quiet")
    process = place.latte(*command)
    assert place.wait_until(lambda: any(place.folder.glob(".exported.*.tmp/*")), process)
    process.kill()
    killed = place.end(process)
    assert place.leftovers(), "the export was killed before it wrote"
    ended_again = place.end(place.latte(*command))
    assert ended_again.code == 0, ended_again.output
    assert (place.folder / "exported" / "model.onnx").is_file()
    saw = f"Killed (exit {killed.code})"
    return [outcome("kill -9: export", [place], site.whole(), 1, saw)]


def interrupt(
    site: Site, place: FaultPlace, stage: str, random: Random, number: int
) -> Ended | None:
    """Start a run, and send a signal at a random moment of `stage`; None if that is too late."""
    pause = random.uniform(0, _seconds(site, stage))
    ready = partial(bool, 1) if stage == START else partial(place.has_begun, stage)
    return place.interrupt_when(_after(ready, pause), number)


def _seconds(site: Site, stage: str) -> float:
    """Return the seconds of `stage` in the undisturbed run; before all stages, those of imports."""
    if stage == START:
        return 2.0
    began = site.whole().began()
    following = [when for other_stage, when in began.items() if when > began[stage]]
    return min(following, default=began[stage] + 0.3) - began[stage]


def _after(ready: Callable[[], bool], pause: float) -> Callable[[], bool]:
    since: list[float] = []

    def reached() -> bool:
        if not since and ready():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= pause

    return reached
