"""Read the weighted sentences of each class from a JSON file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.interfaces.errors import nearest
from latte.io.json_text import parse_json
from latte.io.paths import existing_file, read_text, some

_FORM = 'as in {"cat": ["a furry pet.", "a cat on a sofa."]}, or with weights: {"a furry pet.": 2}'


def read_sentences(path: Path, names: Sequence[Sequence[str]]) -> tuple[Mapping[str, float], ...]:
    """Return the weight of each sentence of each class, in the order of `names`.

    `names` are all names of each class; the file uses one of them. This is the format of the files
    of CuPL (Pratt et al., ICCV 2023), with weights as an addition. Entries of other classes are
    refused. Raises `LatteError` for another format, and for a class without sentences.
    """
    where = str(existing_file(path, "dataset.texts"))
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise LatteError(f"is not valid JSON: {error}", where=where, hint=_FORM) from error
    if not isinstance(content, dict):
        raise LatteError("must map class names to sentences", where=where, hint=_FORM)
    valid_names = {name for class_names in names for name in class_names}
    if unknown := [name for name in content if name not in valid_names]:
        match = nearest(unknown[0], valid_names)
        raise LatteError(
            f'there is no class "{unknown[0]}"',
            where=where,
            hint=f'Did you mean "{match}"?'
            if match
            else f"The classes are {some(sorted(valid_names))}.",
        )
    sentences = [
        {
            text: weight
            for name in class_names
            for text, weight in _weighted(name, content.get(name, ()), where).items()
        }
        for class_names in names
    ]
    missing = [
        class_names[0] for class_names, weights in zip(names, sentences, strict=True) if not weights
    ]
    if missing:
        raise LatteError(f"has no sentence about {some(missing)}", where=where, hint=_FORM)
    return tuple(sentences)


def _weighted(name: str, sentences: Any, where: str) -> Mapping[str, float]:
    if isinstance(sentences, list | tuple):
        sentences = dict.fromkeys(map(str, sentences), 1.0) if _are_texts(sentences) else None
    is_valid = isinstance(sentences, dict) and all(
        text.strip() and isinstance(weight, int | float) and math.isfinite(weight) and weight > 0
        for text, weight in sentences.items()
    )
    if not is_valid:
        raise LatteError(
            f'the sentences of "{name}" must be texts, with weights above 0 if any',
            where=where,
            hint=_FORM,
        )
    return {text: float(weight) for text, weight in sentences.items()}


def _are_texts(sentences: Sequence[Any]) -> bool:
    return all(isinstance(sentence, str) for sentence in sentences)
