"""Read files of run folders, which may be untrusted, and check their values.

Checks raise `ValueError`; the context manager `explained` adds the name of the file.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from latte.interfaces import (
    OWN_IMAGES,
    Calibration,
    CutTexts,
    Evaluation,
    ExpectedGain,
    HeldBack,
    Interval,
    LatteError,
    PresentNames,
    QuestionCounts,
)

LARGEST_SCALE = 1e6
"""Largest plausible scale of similarities; CLIP's own is at most 100."""
LARGEST_EXPONENT = 1e3
"""Largest plausible exponent of a posterior; calibration searches from 0.01 to 100."""
LARGEST_WEIGHT = 1e6
"""Largest plausible entry of a prototype or bias; the prototypes of CLIP have unit length."""
_LARGEST_NUMBER = 2**53
_ROUNDING = 1e-9


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _whole(text: str) -> int:
    if abs(float(text)) > _LARGEST_NUMBER:
        raise ValueError(f"{text[:20]} is too large")
    return int(text)


def check_evaluations(found: Sequence[Evaluation]) -> None:
    """Raise `ValueError` if names, numbers of images, or accuracies of a run cannot be true."""
    by_name = {one.name: one for one in found}
    if len(by_name) < len(found):
        raise ValueError("a classifier occurs twice")
    if found and not {"zero-shot", "adapted"} <= by_name.keys():
        raise ValueError("zero-shot or adapted is missing")
    for one in found:
        _check_evaluation(one)
        is_compared = one.name.removesuffix(OWN_IMAGES) != "zero-shot"
        if is_compared and one.gain is None:
            raise ValueError(f"{one.name}: the gain is missing")
        if len(one.classes) != len(found[0].classes):
            raise ValueError(f"{one.name}: it is about {len(one.classes)} classes")


def _check_evaluation(found: Evaluation) -> None:
    right = [0 <= one.correct <= one.images for one in found.classes]
    total = sum(one.images for one in found.classes)
    if not all(right) or total != found.images or found.images < 1:
        raise ValueError(f"{found.name}: its counts do not add up")
    shares = [found.top5, found.mean_per_class, found.top1.value, found.top1.low, found.top1.high]
    gain = found.gain or Interval(0, 0, 0)
    if not all(_is_share(one) for one in shares):
        raise ValueError(f"{found.name}: a share is not between 0 and 1")
    if not all(_is_share(abs(one)) for one in (gain.value, gain.low, gain.high)):
        raise ValueError(f"{found.name}: a gain is not between -1 and 1")
    for one in (found.top1, gain):
        if not one.low - _ROUNDING <= one.value <= one.high + _ROUNDING:
            raise ValueError(f"{found.name}: a value is outside its interval")


def _is_share(value: float) -> bool:
    return -_ROUNDING <= value <= 1 + _ROUNDING


def check_calibration(found: Calibration) -> None:
    """Raise `ValueError` if a scale, exponent or accuracy of a calibration is impossible."""
    for scale in (found.scale, found.logit_scale):
        if not 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE:
            raise ValueError(f"the scale {scale:g} is not between 1e-6 and 1e6")
    exponent = found.own_exponent
    if exponent is not None and not 1 / LARGEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
        raise ValueError(f"the exponent {exponent:g} is not between 1e-3 and 1e3")
    shares = [found.expected_accuracy, found.error, found.uncalibrated_error]
    if not all(one is None or _is_share(one) for one in shares):
        raise ValueError("a share is not between 0 and 1")
    if found.images < 1:
        raise ValueError("it is about no image")


def check_held_back(found: Sequence[HeldBack]) -> None:
    """Raise `ValueError` if a gate held back more texts than there are."""
    if not all(0 <= one.held_back <= one.texts for one in found):
        raise ValueError("a gate held back more texts than there are")


def check_cut_texts(found: Sequence[CutTexts]) -> None:
    """Raise `ValueError` if more texts were truncated than there are."""
    if not all(0 < one.cut <= one.texts for one in found):
        raise ValueError("more texts are cut than there are")


@dataclass(frozen=True)
class AskedQuestions:
    """Content of `questions.json`: what a labeler asked, and what it expects of the answers."""

    counts: list[QuestionCounts]
    expected_gain: ExpectedGain | None
    reliability: str | None
    """Sentence on the reliability of the describer; None if there is none."""


def check_questions(found: AskedQuestions) -> None:
    """Raise `ValueError` if numbers of questions, answers, tokens, or the gain cannot be true."""
    gain = found.expected_gain
    if gain and not -1 <= gain.low <= gain.value <= gain.high <= 1:
        raise ValueError("the expected gain is not within its interval")
    for one in found.counts:
        if not (0 <= one.unanswered <= one.questions and 0 <= one.stored <= one.questions):
            raise ValueError("more questions were answered or refused than asked")
        if min(one.kept, one.contradictory, one.input_tokens, one.output_tokens) < 0:
            raise ValueError("a count is negative")


def check_present(found: PresentNames, class_names: Sequence[str]) -> None:
    """Raise `ValueError` if the estimate of the classes that occur cannot be true."""
    if not 0 <= found.low <= found.expected <= found.high <= len(class_names):
        raise ValueError("its number of classes is not within its interval")
    if len({*found.unsupported}) < len(found.unsupported):
        raise ValueError("a class without an image occurs twice")
    if unknown := {*found.unsupported} - {*class_names}:
        raise ValueError(f"{min(unknown)} is none of the classes")


def checked_names(value: Any) -> tuple[str, ...]:
    """Return the names as a tuple. Raises `ValueError` unless they are a list of distinct texts."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("its names are not a list of texts")
    if len(set(value)) < len(value):
        raise ValueError("a name occurs twice")
    return tuple(value)


LARGEST_JSON = 2**28
"""Largest accepted JSON file in bytes; latte writes at most about fifty bytes per class."""
DO_AGAIN = "remove it and write it again: latte run RECIPE"

_DAMAGE = (
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
    *(SafetensorError, csv.Error),
)

StoredT = TypeVar("StoredT")


def read_stored(path: Path, kind: type[StoredT], hint: str = DO_AGAIN) -> StoredT:
    """Return the value in a JSON file, of type `kind`. Raises `LatteError` for another type."""
    with explained(path, hint):
        data = read_bounded(path)
        # Raises `ValueError` unless all numbers are finite and fit into a float.
        json.loads(data, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
        return TypeAdapter(kind).validate_json(data, strict=True)


def read_json_lines(path: Path, kind: type[StoredT]) -> list[StoredT]:
    """Return the JSON value of each line. Raises `LatteError` unless it has the type `kind`."""
    found: list[StoredT] = []
    adapter = TypeAdapter(kind)
    with explained(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with explained(path, line=number):
                found.append(adapter.validate_json(line, strict=True))
    return found


@contextmanager
def open_tensors(path: Path, framework: Literal["pt", "np"] = "pt") -> Iterator[Any]:
    """Open a safetensors file; errors in the block become `LatteError`.

    The framework `np` needs no torch.
    """
    with explained(path):
        if not path.is_file():
            raise ValueError("there is no such file")
        with safe_open(path, framework=framework) as file:
            yield file


@contextmanager
def explained(path: Path, hint: str = DO_AGAIN, line: int | None = None) -> Iterator[None]:
    """Turn errors in the `with` block into a `LatteError` that names the file and the fix."""
    where = str(path) if line is None else f"{path}:{line}"
    try:
        yield
    except ValidationError as error:
        raise _damaged(_first(error), where, hint) from error
    except _DAMAGE as error:
        raise _damaged(str(error) or type(error).__name__, where, hint) from error
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise LatteError(what, where=str(path), hint=hint) from error


def metadata(file: Any) -> Any:
    """Return the metadata of a safetensors file. Raises `ValueError` if latte wrote none."""
    found = file.metadata() or {}
    if "latte" not in found:
        raise ValueError("it was not written by latte")
    return json.loads(found["latte"])


def same_count(path: Path, what: str, counts: Sequence[int]) -> None:
    """Raise `LatteError` (the file is damaged) unless all numbers in `counts` are equal."""
    if len(set(counts)) > 1:
        numbers = " and ".join(map(str, dict.fromkeys(counts)))
        raise _damaged(f"it is about {numbers} {what}", str(path), DO_AGAIN)


def _damaged(why: str, where: str, hint: str) -> LatteError:
    line = " ".join(why.split())
    return LatteError(f"this file is damaged ({line[:200]})", where=where, hint=hint)


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file. Raises `ValueError` if it is no file, or too large."""
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON:,} bytes")
    return path.read_bytes()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
