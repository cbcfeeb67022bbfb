"""Safety checks for untrusted model folders: no code of a model is run, no network is used."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from latte.interfaces import LatteError
from latte.io.model_files import json_numbers

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_TOKENIZER_OPTIONS = frozenset(
    {"clean", "strip_sep_token", "language", "additional_special_tokens", "reduction_mask"}
)
"""Tokenizer options that open_clip handles itself; it passes all others on to transformers."""
_LARGEST_SIZE = 2**20
_MOST_LAYERS = 1000


def refuse_unsafe(config: Mapping[str, Any], name: str, where: str) -> None:
    """Raise `LatteError` if loading a model could run code, use a network or fill memory."""
    text, vision = config["text_cfg"], config["vision_cfg"]
    if not isinstance(text, Mapping) or not isinstance(vision, Mapping):
        raise LatteError(f"{name} does not describe an open_clip model", where=where)
    if any(abs(number) > _LARGEST_SIZE for _, number in json_numbers(config)) or any(
        number > _MOST_LAYERS
        for tower in (text, vision)
        for _, number in json_numbers(tower.get("layers"))
    ):
        raise LatteError(f"{name} describes a model that is too large", where=where)
    options = text.get("tokenizer_kwargs") or {}
    unknown_options = sorted({*map(str, options)} - _TOKENIZER_OPTIONS)
    if unknown_options:
        raise LatteError(
            f"{name} sets {unknown_options[0]} for its tokenizer, which latte does not pass on",
            where=where,
            hint="take it out of tokenizer_kwargs: only open_clip's own options are safe there",
        )
    tower = vision.get("timm_model_name")
    if tower is not None and not _PLAIN_NAME.fullmatch(str(tower)):
        raise LatteError(
            f"{name} takes its image tower from {tower}",
            where=where,
            hint="only towers that timm itself has are built: timm_model_name without : and /",
        )


@contextmanager
def restricted(*, offline: bool) -> Iterator[None]:
    """Make the library `transformers` refuse to run a model's code, inside the `with` block.

    If `offline` is true, the Hugging Face hub is not contacted; cached files are still found.
    """
    with ExitStack() as stack:
        if offline:
            _set(stack, "huggingface_hub.constants", "HF_HUB_OFFLINE", True)
        if find_spec("transformers") is not None:
            # With a timeout above 0, transformers asks at the terminal; with 0, it refuses.
            _set(stack, "transformers.dynamic_module_utils", "TIME_OUT_REMOTE_CODE", 0)
        yield


def brings_code(error: Exception) -> bool:
    """Return True if `error` says that transformers refused to run the code of a model."""
    return "trust_remote_code" in str(error) or "custom code" in str(error)


def _set(stack: ExitStack, module: str, name: str, value: Any) -> None:
    owner = importlib.import_module(module)
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
