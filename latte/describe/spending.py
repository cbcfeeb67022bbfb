"""Count of the tokens that a run spends on a describer, their price, and a limit of the cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.data.few_images import counted
from latte.interfaces import Describer, LatteError, Progress
from latte.interfaces.progress import SilentProgress
from latte.interfaces.settings import SpendingSettings
from latte.io.files import write_json

INPUT, OUTPUT, UNCOUNTED = "prompt tokens", "tokens", "uncounted requests"
"""Names of a describer's counters: input tokens, output tokens, and requests, such as retries, that
may have cost tokens which nobody counted."""
FIRST = 10
"""Number of requests after which the tokens of all are estimated."""


@dataclass(frozen=True)
class Tokens:
    """Numbers of tokens that a describer read and wrote, of answers, and of requests without."""

    input: float = 0.0
    output: float = 0.0
    answers: int = 0
    uncounted: int = 0

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(*(mine - theirs for mine, theirs in zip(self._all, other._all, strict=True)))

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(mine + theirs for mine, theirs in zip(self._all, other._all, strict=True)))

    @property
    def _all(self) -> tuple[Any, ...]:
        return self.input, self.output, self.answers, self.uncounted

    def cost(self, prices: SpendingSettings) -> float:
        """Return the price of the tokens; an uncounted request costs as much as a mean answer."""
        counted_cost = (self.input * prices.input + self.output * prices.output) / 1e6
        return counted_cost * (1 + self.uncounted / max(1, self.answers))


@dataclass
class Spending:
    """Tokens of the requests to one describer; `path` keeps them for a resumed run.

    If `prices` has a limit, requests are sent in batches so small that the limit is not passed
    unless one batch costs twice as much per request as every earlier one. `total` is the number of
    requests that are planned; `shares` that of the processes which divide the limit.
    """

    describer: Describer[Any]
    prices: SpendingSettings | None = None
    path: Path | None = None
    progress: Progress = field(default_factory=SilentProgress)
    total: int | None = None
    shares: int = 1

    def __post_init__(self) -> None:
        self._before = _read(self.path if self.prices is not None else None)
        self._first = self._seen = self._counted(0)
        self._dearest = 0.0
        self._is_told = False

    @property
    def spent(self) -> Tokens:
        """Tokens of this run so far, with those of the processes that it resumes."""
        return self._before + self._seen - self._first

    def plan(self, requests: int, images: int) -> None:
        """Say how much will be asked, unless the caller has said `total` itself."""
        if self.total is None:
            self.total = requests
            where = self.describer.options.sends_to
            what = f"{counted(requests, 'request')} about {counted(images, 'image')}"
            self.progress.say(f"describe: {what}{f', to {where}' if where else ''}")

    def batch_size(self) -> int:
        """Return how many requests may be sent next.

        Raises `LatteError` if the next request might pass the limit, or if the describer does not
        count tokens.
        """
        size = self.describer.batch_size
        if self.prices is None:
            return size
        answered = self._seen.answers - self._first.answers
        if answered < FIRST:
            size = min(size, FIRST - answered)
        if self.prices.most is None:
            return size
        limit, spent = self.prices.most / self.shares, self.spent
        if not spent.output and spent.answers < FIRST:
            return 1  # refused and failed requests say nothing of the cost
        if not spent.output:
            raise LatteError(
                "the describer does not count tokens, so that no cost is known",
                where="spending.most",
                hint="leave out spending.most, or ask a server that reports `usage`",
            )
        dearest = max(self._dearest, self._cost(spent) / spent.answers)
        affordable = int((limit - self._cost(spent)) / (2 * dearest))
        if affordable < 1:
            raise LatteError(
                f"further requests might pass {money(limit)}: "
                f"{counted(spent.answers, 'answer')} cost {money(self._cost(spent))}",
                where="spending.most",
                hint="every answer is stored; to go on, run again with a higher limit: "
                f"--set spending.most={2 * self.prices.most:g}",
            )
        return min(size, affordable)

    def note(self, answers: int) -> None:
        """Count a batch of `answers`; after the first ten, say what all requests will need."""
        earlier, self._seen = self._seen, self._counted(self._seen.answers + answers)
        batch = self._seen - earlier
        if self.prices is not None and batch.answers:
            self._dearest = max(self._dearest, self._cost(batch) / batch.answers)
        if self.path is not None and self.prices is not None:
            write_json(self.path, vars(self.spent))
        answered = self._seen.answers - self._first.answers
        left = (self.total or 0) - answered
        if answered >= FIRST and left > 0 and not self._is_told:
            self._is_told = True
            self._tell(self._seen - self._first, left)

    def _tell(self, seen: Tokens, left: int) -> None:
        if not seen.output:
            return
        read, written = seen.input / seen.answers, seen.output / seen.answers
        line = (
            f"describe: {read:,.0f} input and {written:,.0f} output tokens per request; "
            f"{left:,} more need about {left * read:,.0f} and {left * written:,.0f}"
        )
        if self.prices is not None:
            whole = self._cost(self.spent) + self._cost(seen) / seen.answers * left
            line += f", and cost {money(whole)} in all"
            line += f" (limit {money(self.prices.most)})" if self.prices.most is not None else ""
        self.progress.say(line)

    def _cost(self, tokens: Tokens) -> float:
        return tokens.cost(self.prices) if self.prices is not None else 0.0

    def _counted(self, answers: int) -> Tokens:
        counters = self.describer.counters
        read, written, uncounted = (counters.get(name, 0) for name in (INPUT, OUTPUT, UNCOUNTED))
        return Tokens(read, written, answers, uncounted)


def money(amount: float) -> str:
    """Return an amount of money, as `12.30` or `0.0451`; the currency is that of the prices."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"


def _read(path: Path | None) -> Tokens:
    """Return the tokens in a file of an earlier process; none if there is no such file."""
    if path is None or not path.exists():
        return Tokens()
    try:
        kept: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Tokens(**{name: max(0, int(kept[name])) for name in vars(Tokens())})
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        raise LatteError(
            "does not say what this run has spent",
            where=str(path),
            hint="remove it to count from zero, or make the run again",
        ) from None
