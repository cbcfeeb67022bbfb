"""The sentences that stand for classes: one each, or several that count as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import LatteError


@dataclass(frozen=True)
class ClassTexts:
    """C classes; of each, every template filled with every name."""

    of_class: tuple[tuple[str, ...], ...]
    """The sentences of each class, at least one."""

    @classmethod
    def of(cls, templates: Sequence[str], names: Sequence[Sequence[str]]) -> Self:
        """`names` are all that each class goes by. Raises `LatteError` as `fill_template` does."""
        return cls(tuple(_filled(templates, of_class) for of_class in names))

    @property
    def sentences(self) -> list[str]:
        """All of them, class by class."""
        return [*chain.from_iterable(self.of_class)]

    def features(self, encode: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """One unit row a class (C, D), with gradient if `encode` gives M texts (M, D) with it.

        Of several sentences it is the unit vector along the mean of their unit features, as in
        CLIP's prompt ensembles (Radford et al. 2021, section 3.1.4).
        """
        encoded = encode(self.sentences)
        if len(encoded) == len(self.of_class):
            return encoded
        # No index_add: on a GPU it adds in an order that differs from run to run.
        rows = torch.cat([encoded, encoded.new_zeros(1, encoded.shape[1])])
        return normalize(rows[self._places.to(rows.device)].sum(dim=1), dim=1)

    @cached_property
    def _places(self) -> Tensor:
        """The sentences (C, most) of each class; the row behind all of them where it has fewer."""
        most = max(len(sentences) for sentences in self.of_class)
        places = torch.full((len(self.of_class), most), len(self.sentences))
        there = torch.arange(most) < torch.tensor([[len(one)] for one in self.of_class])
        places[there] = torch.arange(len(self.sentences))
        return places


def _filled(templates: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(fill_template(template, [name])[0] for name in names for template in templates)


def fill_template(template: str, class_names: Sequence[str]) -> list[str]:
    """The template once a class, with `{class}` replaced by its name.

    Raises:
        LatteError: if the template does not contain `{class}`.
    """
    if "{class}" not in template:
        raise LatteError(
            f"the template {template!r} does not mention the class",
            hint='write {class} where the name belongs, as in "a photo of a {class}."',
        )
    return [template.replace("{class}", name) for name in class_names]
