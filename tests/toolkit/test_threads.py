"""Work in several threads, whose number changes no result."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from latte.toolkit.threads import parallel_map


@pytest.fixture(params=[1, 2, 5], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the number of torch's threads."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(threads_before)


def threads_of_a_new_thread() -> int:
    numbers: list[int] = []
    thread = threading.Thread(target=lambda: numbers.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return numbers[0]


def test_results_are_in_order_and_each_thread_of_torch_calls(threads: int) -> None:
    all_call = threading.Barrier(threads, timeout=60)

    def square(number: int) -> int:
        if number < threads:
            all_call.wait()
        return number**2

    assert list(parallel_map(square, range(20))) == [number**2 for number in range(20)]


def test_operations_are_not_divided_and_the_number_of_threads_is_put_back(threads: int) -> None:
    assert list(parallel_map(lambda _: torch.get_num_threads(), range(3))) == [1, 1, 1]
    assert torch.get_num_threads() == threads_of_a_new_thread() == threads


def test_gradients_are_not_computed() -> None:
    weights = torch.ones(3, requires_grad=True)

    def total(factor: int) -> Tensor:
        return (factor * weights).sum()

    assert not any(result.requires_grad for result in parallel_map(total, range(3)))


def test_error_cancels_further_calls_and_puts_the_number_of_threads_back(threads: int) -> None:
    calls: list[int] = []

    def fail(number: int) -> None:
        calls.append(number)
        if number == 0:
            raise ValueError(f"item {number}")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="item 0"):
        list(parallel_map(fail, range(1000)))
    assert len(calls) < 1000
    assert torch.get_num_threads() == threads_of_a_new_thread() == threads
