"""Class priors of predictions: read from a file, or estimated from the images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from latte.data.sources.classes import ClassLookup
from latte.evaluate.priors import estimate_priors
from latte.interfaces import LatteError
from latte.io.paths import existing_file, read_text, some

Priors: TypeAlias = Tensor | Literal["auto"]
"""Shares (C,) of the classes, or `auto` to estimate them first from all images."""


class Scored(NamedTuple):
    """A batch of B images and their similarities to the C classes."""

    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    """Content keys of the images; None if unknown."""
    similarities: Tensor
    """(B, C)."""
    matches: Tensor | None = None
    """(B, C) probabilities of a sigmoid model; see `Adapted.matches`."""


MOST_ENTRIES = 2**27
"""Largest number of images times classes for `auto`: two fp32 arrays of this size take 1 GiB."""
_WHERE = "--priors"
_TOLERANCE = 1e-3


def with_priors(
    batches: Iterable[Scored],
    priors: Priors,
    scale: float,
    on_priors: Callable[[Tensor], None] | None = None,
) -> Iterator[Scored]:
    """Yield batches whose similarities take the class priors into account.

    Probabilities are the softmax of `scale` times the similarities. Adding log(pi_k) / scale to the
    similarity of class k multiplies its probability by its prior pi_k, before normalisation.
    """
    if isinstance(priors, str):
        batches = _all(batches)
        posteriors = [(batch.similarities * scale).softmax(dim=1) for batch in batches]
        priors = estimate_priors(torch.cat(posteriors)) if posteriors else torch.ones(1).double()
    if on_priors is not None:
        on_priors(priors)
    shift = (priors.double().log() / scale).float()
    for batch in batches:
        yield batch._replace(similarities=batch.similarities + shift)


def read_priors(path: Path, class_names: Sequence[str]) -> Tensor:
    """Read the share of each class from CSV or JSON: (C,) float64 with sum 1.

    CSV has a class and a number per line, with or without a header. JSON (`.json`) maps classes to
    numbers. The numbers are shares, which sum to 1 within 0.001, or counts.
    """
    existing_file(path, _WHERE)
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    lookup, shares = ClassLookup(class_names), dict[int, float]()
    for name, value, where in entries:
        label = lookup.label(name, where)
        if label in shares:
            raise LatteError(f"class {name!r} has a share twice", where=where)
        shares[label] = _number(value, name, where)
    missing = [name for label, name in enumerate(class_names) if label not in shares]
    if missing:
        hint = "Write 0 for a class that cannot occur."
        raise LatteError(f"no share for {some(missing)}", where=str(path), hint=hint)
    numbers = [shares[label] for label in range(len(class_names))]
    total = sum(numbers)
    are_counts = all(number.is_integer() for number in numbers) and total > 0
    if not (are_counts or abs(total - 1) <= _TOLERANCE):
        what, hint = f"the shares sum to {total:.4g}, not to 1", "Or give whole counts."
        raise LatteError(what, where=str(path), hint=hint)
    return torch.tensor(numbers, dtype=torch.float64) / total


def shares_line(priors: Tensor, class_names: Sequence[str], most: int = 5) -> str:
    """Return one line with the shares of the most frequent classes, at most `most` of them."""
    values, labels = priors.topk(min(most, len(class_names)))
    named = zip(labels.tolist(), values.tolist(), strict=True)
    listed = ", ".join(f"{class_names[label]} {100 * share:.1f} %" for label, share in named)
    more = len(class_names) - len(labels)
    rest = f" and {more} more class{'es' * (more > 1)}" if more else ""
    return f"estimated shares: {listed}{rest}"


def use_of_priors(images: int, own: int) -> str | None:
    """Return a line if the priors were not used for all images, else None.

    `own` of the `images` are training images with labels from a person or from the run's posterior.
    Priors do not change these labels.
    """
    if not own:
        return None
    used = f"{images - own:,} of {images:,} images" if own < images else "none of the images"
    line = (
        f"priors were used for {used}: training images ({own:,}) keep their labels "
        "from the run or from a person (source `own`)"
    )
    return line if own < images else f"warning: {line}"


def _all(batches: Iterable[Scored]) -> list[Scored]:
    """List the batches. Raises `LatteError` for more than `MOST_ENTRIES` similarities."""
    batches_so_far, entries = list[Scored](), 0
    for batch in batches:
        entries += batch.similarities.numel()
        if entries > MOST_ENTRIES:
            classes = batch.similarities.shape[1]
            images = MOST_ENTRIES // classes
            raise LatteError(
                f"auto holds at most {images:,} images of {classes:,} classes in "
                "memory, and there are more",
                where=_WHERE,
                hint="Estimate shares on some of the images, and give these as priors for all",
            )
        batches_so_far.append(batch._replace(similarities=batch.similarities.detach().float()))
    return batches_so_far


def _from_json(path: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        pairs = json.loads(read_text(path), object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise LatteError(f"is not JSON: {error}", where=str(path)) from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise LatteError('is not a mapping, as in {"cat": 0.7, "dog": 0.3}', where=str(path))
    for name, value in pairs:
        yield name, value, str(path)


def _from_csv(path: Path) -> Iterator[tuple[str, Any, str]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        for number, row in enumerate(filter(None, reader), start=1):
            where = f"{path}:{reader.line_num}"
            if len(row) != 2:
                raise LatteError("a line has a class and a number, as in: cat,0.7", where=where)
            if number > 1 or _is_number(row[1]):
                yield row[0].strip(), row[1], where
    except csv.Error as error:
        raise LatteError(f"is not CSV: {error}", where=f"{path}:{reader.line_num}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: Any, name: str, where: str) -> float:
    is_text = isinstance(value, str) and _is_number(value)
    if not is_text and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise LatteError(f"the share of {name!r} is no number: {value!r}", where=where)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise LatteError(f"the share of {name!r} is {value}, not 0 or more", where=where)
    return number
