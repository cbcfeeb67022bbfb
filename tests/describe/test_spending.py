"""Cost of describers: a run tells it after ten requests, resumes the count, and keeps a limit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.api import Describer, DescribeRequest, LatteError, NoOptions
from latte.describe.spending import FIRST, Spending
from latte.interfaces.settings import SpendingSettings
from tests.helpers.recorded import RecordedProgress

PRICES = SpendingSettings(input=10.0, output=100.0)


class Paid(Describer[NoOptions]):
    """Describer whose requests read 1,000 tokens, and write as many as `written` says in turn."""

    fingerprint = "paid-1"
    batch_size = 32

    def __init__(self, written: Sequence[int] = (100,)) -> None:
        self.options = NoOptions()
        self.written, self.sent, self.uncounted = written, 0, 0

    @property
    def counters(self) -> Mapping[str, int]:
        counts = {
            "prompt tokens": 1000 * self.sent,
            "tokens": sum(self.written[row % len(self.written)] for row in range(self.sent)),
        }
        return {**counts, "uncounted requests": self.uncounted}

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        raise NotImplementedError


def send(spending: Spending, describer: Paid, requests: int) -> int:
    """Send up to `requests` in the batches that `spending` allows; return how many were sent."""
    before = describer.sent
    while describer.sent - before < requests:
        size = min(spending.batch_size(), requests - (describer.sent - before))
        describer.sent += size
        spending.note(size)
    return describer.sent - before


def test_after_ten_requests_the_tokens_and_cost_of_all_are_told_once() -> None:
    progress, describer = RecordedProgress(), Paid()
    spending = Spending(describer, PRICES, progress=progress)
    spending.plan(requests=210, images=70)
    assert progress.lines == ["describe: 210 requests about 70 images"]
    send(spending, describer, FIRST)
    assert progress.lines[1:] == [
        "describe: 1,000 input and 100 output tokens per request; 200 more need about 200,000 and "
        "20,000, and cost 4.20 in all"
    ]
    send(spending, describer, 200)
    assert len(progress.lines) == 2


def test_without_prices_batches_are_whole_and_no_money_is_told() -> None:
    progress, describer = RecordedProgress(), Paid()
    spending = Spending(describer, progress=progress, total=64)
    assert spending.batch_size() == 32
    send(spending, describer, 32)
    assert len(progress.lines) == 1 and "cost" not in progress.lines[0]


@given(
    st.lists(st.integers(50, 100), min_size=1, max_size=20),
    st.floats(0.05, 5.0),
    st.integers(1, 4),
)
def test_no_run_costs_more_than_its_limit(written: list[int], most: float, shares: int) -> None:
    """The dearest request costs less than twice the cheapest; the first is sent in any case."""
    describer = Paid(written)
    limited = PRICES.model_copy(update={"most": most})
    spending = Spending(describer, limited, shares=shares)
    with pytest.raises(LatteError, match="might pass") as caught:
        send(spending, describer, 10_000)
    assert caught.value.where == "spending.most"
    cost = spending.spent.cost(PRICES)
    dearest = (1000 * PRICES.input + 100 * PRICES.output) / 1e6
    assert most / shares - 4 * dearest < cost <= max(most / shares, dearest)


def test_a_resumed_run_counts_what_it_spent_before(tmp_path: Path) -> None:
    limited = PRICES.model_copy(update={"most": 1.0})
    first = Paid()
    send(Spending(first, limited, tmp_path / "spent.json"), first, 30)
    second = Paid()
    with pytest.raises(LatteError, match=r"might pass 1\.00: 49 answers cost 0\.9800"):
        send(Spending(second, limited, tmp_path / "spent.json"), second, 100)
    assert first.sent + second.sent == 49


def test_a_request_whose_tokens_nobody_counted_costs_as_much_as_others() -> None:
    describer = Paid()
    spending = Spending(describer, PRICES)
    send(spending, describer, 10)
    describer.uncounted = 5
    spending.note(0)
    assert spending.spent.cost(PRICES) == pytest.approx(15 * 0.02)


def test_a_limit_needs_a_describer_that_counts_tokens() -> None:
    describer = Paid((0,))
    spending = Spending(describer, PRICES.model_copy(update={"most": 1.0}))
    with pytest.raises(LatteError, match="does not count tokens"):
        send(spending, describer, 100)
    assert describer.sent == FIRST


def test_a_refused_first_request_says_nothing_of_the_cost() -> None:
    describer = Paid((0, 0, 100, 100, 100, 100, 100, 100, 100, 100))
    spending = Spending(describer, PRICES.model_copy(update={"most": 1.0}))
    assert send(spending, describer, 20) == 20


def test_the_hint_is_a_setting_that_a_recipe_takes() -> None:
    describer = Paid((10**6,))
    spending = Spending(describer, PRICES.model_copy(update={"most": 2_000.0}))
    with pytest.raises(LatteError, match="might pass") as caught:
        send(spending, describer, 100)
    assert str(caught.value.hint).endswith("--set spending.most=4000")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"input": "x"}', "[" * 100_000])
def test_a_damaged_count_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spent.json"
    path.write_text(content)
    with pytest.raises(LatteError, match="does not say what") as caught:
        Spending(Paid(), PRICES, path)
    assert caught.value.where == str(path)


def test_the_count_is_written_after_each_batch(tmp_path: Path) -> None:
    path, describer = tmp_path / "spent.json", Paid()
    send(Spending(describer, PRICES, path), describer, 10)
    assert json.loads(path.read_text()) == {
        "input": 10000,
        "output": 1_000,
        "answers": 10,
        "uncounted": 0,
    }
