"""Order of the images that a review asks about, and when asking is no longer worth it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import torch

from latte.toolkit.asking import AskingOrder


@dataclass(frozen=True)
class Asking:
    """Images to ask about: those whose answers cover most doubt come first."""

    order: AskingOrder
    keys: tuple[str, ...]
    """Content keys of the images."""

    def may_stop(self, answered: Container[str]) -> bool:
        """Return True if the next ten answers are expected to change less than a point."""
        is_open = torch.tensor([key not in answered for key in self.keys], dtype=torch.bool)
        return not AskingOrder(self.order.rows[is_open], self.order.gains[is_open]).is_worth_asking
