"""Learn from the answers of a review while they come in, in one thread and in memory.

A newer answer ends the work on older ones, but the next fit after that always runs to its end, so
that labels follow even if fits are slower than answers. When no newer answer waits, the answers are
left out in turn, which measures and calibrates the model. The review's run is written by the
ordinary runner only when it is asked for.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from latte.interfaces import LatteError, Progress
from latte.interfaces.progress import SilentProgress
from latte.io.machine import machine_errors
from latte.models.live_labels import LiveLabels, SupersededError
from latte.results.run import open_finished
from latte.results.run_answers import Signature
from latte.results.taught_runs import other_label_files
from latte.review.revisions import (
    LabelChange,
    Revision,
    label_change,
    of_fit,
    of_run,
)
from latte.review.session import Review

if TYPE_CHECKING:
    from latte.review.asking import Asking

Teach = Callable[[Progress], tuple[Path, Sequence[str]]]
"""Function that writes a taught run; it returns its folder and sentences on its accuracy."""
Order = Callable[[], "Asking | None"]
"""Function that orders a review's images by the expected gain of an answer, if it is known."""
Announce = Callable[[str], None]
"""Function that tells the open pages an event by its name."""

_FAILED = "your answers are saved, but latte failed while it used them"
_KEPT = 8
"""Number of revisions in memory, so that an undo is instant."""


class LiveMethod(Protocol):
    """A run's method that is fitted in memory to the answers in the run's file."""

    why_not: str
    """Why the method cannot be fitted in memory, as one sentence; empty if it can."""

    def fit(self, is_stale: Callable[[], bool]) -> LiveLabels:
        """Return the labels of a fit to the answers in the file."""

    def measure(self, is_stale: Callable[[], bool]) -> LiveLabels:
        """Return the labels of the last fit, measured by leaving answers out in turn."""


@dataclass(frozen=True)
class WrittenRun:
    """A run that the answers taught, written by the ordinary runner."""

    folder: Path
    lines: Sequence[str]
    """Sentences on its accuracy."""


class Learning:
    """The thread that learns from a review's answers, and the labels of its newest model."""

    def __init__(
        self,
        review: Review,
        open_method: Callable[[], LiveMethod],
        teach: Teach,
        order: Order,
        announce: Announce,
    ) -> None:
        """Prepare to learn; `start` begins.

        `open_method` opens the run's method, and `teach` writes a run with the answers. `order`
        orders the images by the expected gain of an answer.
        """
        self._review, self._open_method, self._teach = review, open_method, teach
        self._order_images, self._announce = order, announce
        self._method: LiveMethod | None = None
        self._base = of_run(review.run, review, {})
        self.revision: Revision = self._base
        self.change: LabelChange | None = None
        self.state: Literal["idle", "learning", "failed", "at-finish"] = "idle"
        self.error: LatteError | None = None
        self.note: str = ""
        self.is_writing: bool = False
        self._written: tuple[Signature, WrittenRun] | None = None
        self.is_held: bool = False
        self._kept: dict[Signature, Revision] = {}
        self._condition = threading.Condition()
        self._wanted, self._done = 0, 0
        self._restarts = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to learn, unless it has begun."""
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
                self._wanted += 1

    def answers_changed(self) -> None:
        """Learn from the answers in the file."""
        with self._condition:
            self._wanted += 1
            self._condition.notify_all()

    def answers_undone(self) -> None:
        """Take the labels by the answers that are left at once if they are known, and learn."""
        if not self.is_held and (known := self._kept.get(self._signature())):
            self._adopt(known)
        self.answers_changed()

    def hold(self, is_held: bool) -> None:
        """Stop learning from new answers, so that the labels can be measured, or go on."""
        with self._condition:
            self.is_held = is_held
            self._condition.notify_all()

    @property
    def written(self) -> WrittenRun | None:
        """The run that all answers taught; None if it is not written, or answers came after it."""
        if self._written is None or self._written[0] != self._signature():
            return None
        return self._written[1]

    @property
    def is_settled(self) -> bool:
        """True if the labels are those of a run with all answers."""
        return self._wanted == self._done and self.state != "failed"

    @property
    def has_unwritten(self) -> bool:
        """True if there are answers that a run could learn in seconds, and has not."""
        stored = self._review.stored()
        taught = stored.teaching
        is_known = taught == stored.taught and stored.class_names == self._review.run.class_names
        is_new = self.written is None and not is_known
        return is_new and self.state != "at-finish" and self._can_teach(taught)

    def write(self) -> WrittenRun:
        """Write the run that the answers teach, unless it is written; return it when it is there.

        Raises `LatteError` if there is no answer to learn from, or the run fails.
        """
        with self._condition:
            self.is_writing = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._is_free)
            self._is_free = False
        try:
            return self.written or self._write()
        finally:
            with self._condition:
                self.is_writing, self._is_free = False, True
                self._condition.notify_all()

    def _write(self) -> WrittenRun:
        signature = self._signature()
        with machine_errors():
            run = WrittenRun(*self._teach(SilentProgress()))
        self._written = signature, run
        if not (signature in self._kept and self._kept[signature].is_settled):
            self._keep(
                signature, of_run(open_finished(run.folder), self._review, dict(signature[1]))
            )
        return run

    def close(self) -> None:
        """End the thread, as soon as its work can end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    _is_free = True
    """True if the thread does not work, so that a run can be written."""

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda: (
                        self._closed
                        or (self._wanted != self._done and not self.is_writing and not self.is_held)
                    )
                )
                if self._closed:
                    return
                wanted, self._is_free = self._wanted, False
            self._learn_safely(wanted)
            with self._condition:
                self._is_free = True
                self._condition.notify_all()

    def _learn_safely(self, wanted: int) -> None:
        """Learn from the answers; an error is stored and announced."""
        try:
            with machine_errors():
                self._learn(lambda: self._wanted != wanted or self._closed or self.is_writing)
            self._done, self._restarts = wanted, 0
        except SupersededError:
            self._restarts += 1
        except LatteError as error:
            self._fail(wanted, error)
        except Exception:
            traceback.print_exc()
            hint = "the terminal shows the error; please report it"
            self._fail(wanted, LatteError(_FAILED, hint=hint))

    def _fail(self, wanted: int, error: LatteError) -> None:
        self.error, self.state, self._done = error, "failed", wanted
        self._announce("failed")

    def _learn(self, is_stale: Callable[[], bool]) -> None:
        if self._method is None:
            self._method = self._open_method()
        if self._method.why_not:
            self.state, self.note = "at-finish", self._method.why_not
            self._order(is_stale)
            return
        stored = self._review.stored()
        taught, signature = stored.teaching, stored.signature
        if not self._can_teach(taught):
            self._adopt(self._base.with_given(taught, stored.class_names))
        elif not (signature in self._kept and self._kept[signature].is_settled):
            self.state = "learning"
            self._announce("learning")
            is_urgent = self._restarts > 0  # after a restart, a fit runs to its end
            live = self._method.fit(lambda: is_stale() and not (is_urgent and not self._closed))
            self._keep(signature, of_fit(live, self._review, taught))
        else:
            self._adopt(self._kept[signature])
        self.state, self.error = "idle", None
        self._announce("learned")
        if self._can_teach(taught) and not self._kept[signature].is_settled:
            measured = of_fit(self._method.measure(is_stale), self._review, taught)
            self._keep(signature, replace(measured, is_settled=True))
            self._announce("state")
        self._order(is_stale)

    def _order(self, is_stale: Callable[[], bool]) -> None:
        """Order the images by the expected gain of an answer."""
        if is_stale():
            raise SupersededError
        self._review.asking = self._order_images()
        self._announce("state")

    def _can_teach(self, taught: Mapping[str, str]) -> bool:
        """Return True if the answers name two classes, or other labels already teach."""
        names = {*taught.values()} - {"none"}
        return len(names) > 1 or bool(names and other_label_files(self._review.run))

    def _signature(self) -> Signature:
        return self._review.stored().signature

    def _keep(self, signature: Signature, revision: Revision) -> None:
        self._kept.pop(signature, None)
        self._kept[signature] = self._adopt(revision)
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)))

    def _adopt(self, revision: Revision) -> Revision:
        """Make this the newest revision; it keeps its number if no label changes."""
        number = self.revision.number + (revision.labels != self.revision.labels)
        new = replace(revision, number=number)
        if number != self.revision.number:
            change = label_change(self.revision, new)
            self.change = change if change.count else self.change
        self.revision = new
        self._review.follow(new.images, new.measured)
        return new
