"""Sampling whose result depends on the request but not on the batch.

The token with the largest sum of logit and Gumbel noise is an exact draw from the softmax. Here the
noise is a function of (request, position, token), so requests share no random state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

_MIX_1, _MIX_2 = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""Multipliers of splitmix64, as signed 64-bit integers."""
_POSITION, _TOKEN = -0x61C8864680B583EB, 0x5851F42D4C957F2D
"""Odd multipliers of position and token in the hash, so that both change the noise."""


def request_seed(image_keys: Sequence[str], prompt: str, sample: int) -> int:
    """Return a signed 64-bit seed: a hash of the images, the prompt and the sample number."""
    hasher = hashlib.blake2b(digest_size=8)
    for part in (*image_keys, prompt, str(sample)):
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(hasher.digest(), "little", signed=True)


def gumbel_noise(seeds: Tensor, position: int, tokens: int) -> Tensor:
    """Return Gumbel noise (B, tokens) in float32 for one position; `seeds` (B,) are int64."""
    ids = torch.arange(tokens, device=seeds.device) * _TOKEN
    # Multiply as tensors, which wrap around at 64 bits; Python's integers do not.
    rows = _mix(seeds + torch.full_like(seeds, position) * _POSITION)
    bits = _mix(rows.unsqueeze(1) + ids)
    uniform = (_shift(bits, 12).double() + 0.5) * 2.0**-52
    return (-(-uniform.log()).log()).float()


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shift(values, 30)) * _MIX_1
    values = (values ^ _shift(values, 27)) * _MIX_2
    return values ^ _shift(values, 31)


def _shift(values: Tensor, bits: int) -> Tensor:
    """Return signed `values`, shifted right by `bits` and filled with zeros (a logical shift)."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


class GumbelNoise(LogitsProcessor):
    """Logits processor that turns greedy decoding into sampling; sequence i uses `seeds[i]`."""

    def __init__(self, seeds: Sequence[int], prompt_length: int) -> None:
        self._seeds = torch.tensor(list(seeds), dtype=torch.int64)
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` (B, tokens) of the next token plus Gumbel noise."""
        self._seeds = self._seeds.to(scores.device)
        position = input_ids.shape[1] - self._prompt_length
        return scores.float() + gumbel_noise(self._seeds, position, scores.shape[1])
