"""Changes of colours of many views at once, as tensor operations on the device where they are.

Views are float32 of whole numbers from 0 to 255, rounded after each change as Pillow rounds; see
views.c, which does the same for one view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from latte.data.draws import Change, Draw, amount_of


def change_colours(views: Tensor, draws: Sequence[Draw]) -> None:
    """Change views (B, 3, S, S) in place as each one's draw says, in its order."""
    for place in range(max((len(draw.changes) for draw in draws), default=0)):
        for kind, change in _CHANGES.items():
            rows = [
                row
                for row, draw in enumerate(draws)
                if place < len(draw.changes) and draw.changes[place][0] is kind
            ]
            if rows:
                amounts = [amount_of(*draws[row].changes[place]) for row in rows]
                where = torch.tensor(rows, device=views.device)
                by = torch.tensor(amounts, device=views.device, dtype=torch.float32)
                views[where] = change(views[where], by.view(-1, 1, 1, 1))


def _brighten(views: Tensor, factor: Tensor) -> Tensor:
    return _blended(torch.zeros_like(views), views, factor)


def _contrast(views: Tensor, factor: Tensor) -> Tensor:
    mean = (_gray(views).double().mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor().float()
    return _blended(mean.expand_as(views), views, factor)


def _saturate(views: Tensor, factor: Tensor) -> Tensor:
    return _blended(_gray(views), views, factor)


def _shift_hue(views: Tensor, steps: Tensor) -> Tensor:
    """Hue turned by 256ths, through 8-bit hue, saturation and value, rounded as in views.c."""
    red, green, blue = views.unbind(dim=1)
    high, low = views.amax(dim=1), views.amin(dim=1)
    spread = high - low
    saturation = (spread / high.clamp_min(1) * 255).int()
    is_red, is_green = red == high, green == high
    start = torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))
    plus = high - torch.where(is_red, blue, torch.where(is_green, red, green))
    minus = high - torch.where(is_red, green, torch.where(is_green, blue, red))
    width = spread.clamp_min(1)
    there = (start.double() + (plus / width).double() - (minus / width).double()).float()
    turned = there.double() * (1.0 / 6.0) + 1.0
    turn = torch.where(turned >= 1.0, turned - 1.0, turned).float()
    step = torch.where(spread > 0, (turn * 255).int(), 0)
    hue = (step + steps.view(-1, 1, 1).int()) & 255
    value = high.int()
    channels = [_from_hue(6 * hue + 255 * offset, saturation, value) for offset in (5, 3, 1)]
    return torch.stack(channels, dim=1).float()


def _from_hue(angle: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """One channel of a colour; `angle` in 1530ths of a turn, below 2 turns."""
    rest = torch.where(angle >= 1530, angle - 1530, angle)
    share = torch.minimum(rest, 1020 - rest).clamp(0, 255)
    doubled = 2 * value * (65025 - saturation * share) + 65025
    return torch.div(doubled, 130050, rounding_mode="floor")


def _to_gray(views: Tensor, nothing: Tensor) -> Tensor:
    return _gray(views).expand_as(views)


def _blended(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    return (start + factor * (end - start)).clamp_(0, 255).trunc_()


def _gray(views: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, 1, S, S), as Pillow weighs colours."""
    red, green, blue = views.int().unbind(dim=1)
    gray: Tensor = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return gray[:, None].float()


_CHANGES: Mapping[Change, Callable[[Tensor, Tensor], Tensor]] = {
    Change.BRIGHTNESS: _brighten,
    Change.CONTRAST: _contrast,
    Change.SATURATION: _saturate,
    Change.HUE: _shift_hue,
    Change.GRAY: _to_gray,
}
