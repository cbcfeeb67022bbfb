"""The noise that makes greedy decoding sample."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from latte_llava.model import count_tokens
from latte_llava.sampling import GumbelNoise, gumbel_noise, request_seed

SEEDS = st.integers(-(2**63), 2**63 - 1)


def test_noise_is_gumbel_distributed() -> None:
    """Mean is Euler's constant, variance pi squared over six, neighbours are unrelated."""
    noise = gumbel_noise(torch.arange(50), 3, 4000)
    assert torch.isfinite(noise).all()
    assert abs(noise.mean() - 0.5772) < 0.015
    assert abs(noise.var() - 1.6449) < 0.03
    for other_noise in (
        noise.roll(1, dims=1),
        noise.roll(1, dims=0),
        gumbel_noise(torch.arange(50), 4, 4000),
    ):
        correlation = torch.corrcoef(torch.stack([noise.flatten(), other_noise.flatten()]))[0, 1]
        assert abs(correlation) < 0.01


def test_tokens_are_drawn_with_their_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    draws = 20_000
    seeds = [request_seed(["key"], "prompt", sample) for sample in range(draws)]
    noisy = GumbelNoise(seeds, 7)(torch.zeros(draws, 9), probabilities.log().expand(draws, 4))
    shares = noisy.argmax(dim=1).bincount(minlength=4) / draws
    torch.testing.assert_close(shares, probabilities, atol=0.015, rtol=0)


@given(st.lists(SEEDS, min_size=1, max_size=6, unique=True), st.integers(0, 100))
def test_a_row_s_noise_depends_on_its_seed_and_position_alone(
    seeds: list[int], position: int
) -> None:
    together = gumbel_noise(torch.tensor(seeds), position, 12)
    for row, seed in enumerate(seeds):
        alone = gumbel_noise(torch.tensor([seed]), position, 12)
        assert torch.equal(together[row], alone[0])
    assert len({tuple(row) for row in together.tolist()}) == len(seeds)


def test_tokens_ruled_out_stay_ruled_out() -> None:
    scores = torch.tensor([[float("-inf"), 0.0, float("-inf")]])
    assert GumbelNoise([5], 0)(torch.zeros(1, 1), scores).argmax() == 1


@given(st.lists(st.text(), max_size=3), st.text(), st.integers(0, 5))
def test_a_seed_tells_requests_apart(keys: list[str], prompt: str, sample: int) -> None:
    seed = request_seed(keys, prompt, sample)
    assert -(2**63) <= seed < 2**63
    assert seed == request_seed(list(keys), prompt, sample)
    assert seed != request_seed(keys, prompt, sample + 1)
    assert seed != request_seed([*keys, prompt], "", sample)


def test_counting_stops_behind_the_first_end() -> None:
    written = torch.tensor([[5, 2, 0, 0], [5, 6, 7, 8], [2, 2, 2, 2]])
    assert count_tokens(written, torch.tensor([2, 3])) == 2 + 4 + 1
    assert count_tokens(written, torch.tensor([], dtype=torch.int64)) == 12
