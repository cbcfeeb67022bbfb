"""Operations are counted as they are written on paper."""

from __future__ import annotations

import torch
from torch import nn

from latte.train.timing import count_flops


def counted(groups: int, *, input_too: bool) -> int:
    convolution = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    given = torch.ones(2, 8, 5, 5, requires_grad=input_too)
    with count_flops() as counter:
        convolution(given).sum().backward()
    return counter.get_total_flops()


def test_flops_of_convolution_gradients() -> None:
    for groups in (1, 2, 8):
        forward = 2 * 2 * 25 * 8 * (8 // groups) * 9
        assert counted(groups, input_too=False) == 2 * forward
        assert counted(groups, input_too=True) == 3 * forward
