"""Mistakes that concern every request: each says what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from latte.api import LatteError
from latte_openai.options import OpenAIOptions

_LISTED = 10
SAFE = "texts that were finished are safe: run again to go on"


def no_server(options: OpenAIOptions, what: str) -> LatteError:
    """Connections fail, however often they are tried."""
    return LatteError(
        f"nobody answers at {options.base_url}: {what}",
        where="describer.base_url",
        hint=f"start the server, or set `base_url`; {SAFE}",
    )


def no_address(options: OpenAIOptions, what: str) -> LatteError:
    """The server runs, but has no such path."""
    return LatteError(
        f"{options.base_url} is no OpenAI-compatible address: {what}",
        where="describer.base_url",
        hint="it usually ends in /v1",
    )


def no_key(options: OpenAIOptions, status: int, given: bool) -> LatteError:
    """401 or 403. What the server says is not repeated: it may hold parts of the key."""
    name = options.key_env
    what = f"refuses the key in {name}" if given else "wants a key"
    hint = "check that it is valid and may use this model" if given else f"export {name}=..."
    return LatteError(
        f"{options.base_url} {what} (status {status})",
        where="describer.key_env",
        hint=f"{hint}; `key_env` names the variable that the key is read from",
    )


def no_credit(options: OpenAIOptions, what: str) -> LatteError:
    """Asking again will not help before somebody pays."""
    return LatteError(
        f"{options.base_url} wants to be paid first: {what}", where="describer", hint=SAFE
    )


def no_model(options: OpenAIOptions, model: str, what: str, served: Sequence[str]) -> LatteError:
    """404: the model, or else the address, is wrong. `served` is empty where it lists none."""
    if not served:
        return no_address(options, f"{what} (model {model})")
    if model in served:
        return no_address(options, f"it lists {model}, but does not answer questions: {what}")
    nearest = get_close_matches(model, served, n=1, cutoff=0.4)
    guess = f'did you mean "{nearest[0]}"? ' if nearest else ""
    return LatteError(
        f"{options.base_url} has no model {model}",
        where="describer.model",
        hint=f"{guess}it serves {listed(served)}",
    )


def which_model(options: OpenAIOptions, served: Sequence[str]) -> LatteError:
    """No model is named, and the server does not serve exactly one."""
    what = f"{options.base_url} serves {len(served) or 'no'} models: name one"
    return LatteError(
        what, where="describer.model", hint=f"it serves {listed(served)}" if served else None
    )


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
