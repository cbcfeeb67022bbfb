"""Parse a server's error replies, and turn them into exceptions and messages for users."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, NoReturn

from latte.api import LatteError, NonRetryableError
from latte_openai.backoff import retry_after
from latte_openai.options import OpenAIOptions

_CONTENT_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
    }
)
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_TOO_LONG = re.compile(r"context (length|size|window)|maximum model length", re.IGNORECASE)
_NO_MODEL = re.compile(r"\bmodel\b.*\b(not found|does not exist|not loaded)\b", re.IGNORECASE)
_TRANSIENT = frozenset({408, 409, 429, 500, 502, 503, 504})
_QUOTED = 200
_LISTED = 10
TOO_LONG_HINT = (
    " (shorten the question or its options, lower `max_side` or `max_tokens`, or start the server "
    "with a longer context)"
)
SAFE = "finished texts are stored: run again to continue"


class RequestError(NonRetryableError):
    """Failure of one request, after its retries; other requests may succeed."""


class RejectedError(RequestError):
    """Rejection of one request by the server, because of its fields or its size."""


class TransientError(Exception):
    """Failure after which a retry may succeed; `wait` are the seconds that the server asked for."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class UnreachableError(TransientError):
    """Failure to connect to the server."""


class NotFoundError(Exception):
    """Failure because the server does not have the model or the path."""

    def __init__(self, what: str, *, is_model: bool) -> None:
        super().__init__(what)
        self.is_model = is_model


class RefusedError(Exception):
    """Rejection of one request by the server's content filter."""


@dataclass(frozen=True)
class Problem:
    """Error message of a server, with its codes."""

    message: str
    codes: frozenset[str] = frozenset()
    """Code and type of the error, in lower case."""

    @property
    def is_content_filter(self) -> bool:
        """Return True if the server rejects this request because of its content."""
        return bool(self.codes & _CONTENT_CODES)

    @property
    def is_too_long(self) -> bool:
        """Return True if question and images are longer than the context of the model."""
        return bool(self.codes & _TOO_LONG_CODES or _TOO_LONG.search(self.message))

    @property
    def is_missing_model(self) -> bool:
        """Return True if the server says that it does not have the model."""
        return "model_not_found" in self.codes or bool(_NO_MODEL.search(self.message))


def read_problem(reply: str) -> Problem:
    """Parse an error reply: `{"error": {...}}` and its variants; any other text is quoted."""
    try:
        fields = json.loads(reply)
    except (ValueError, RecursionError):
        return Problem(excerpt(reply))
    if not isinstance(fields, dict):
        return Problem(excerpt(reply))
    error = fields.get("error") or fields
    if not isinstance(error, dict):
        return Problem(excerpt(str(error)))
    message = error.get("message") or error.get("detail")
    return Problem(excerpt(message if isinstance(message, str) else reply), _codes(error))


def _codes(error: dict[str, Any]) -> frozenset[str]:
    inner = error.get("innererror")
    places = [error, inner if isinstance(inner, dict) else {}]
    found = [place.get(name) for place in places for name in ("code", "type")]
    return frozenset(str(code).lower() for code in found if code is not None)


def excerpt(text: str) -> str:
    """Return the first 200 characters of `text`, on one line and printable."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _QUOTED])
    line = " ".join(printable.split())
    return f"{line[:_QUOTED]}..." if len(line) > _QUOTED else line or "nothing"


def raise_for_status(
    status: int, reply: str, wait: str | None, options: OpenAIOptions, key_given: bool
) -> NoReturn:
    """Raise the exception for a `reply` whose `status` is not 2xx; `wait` is its `Retry-After`.

    Raises:
        RefusedError, NotFoundError, TransientError, RejectedError, RequestError: This request
            failed; `RequestError` if it is longer than the context.
        LatteError: Every request would fail: no valid key, no credit, a wrong address, or a model
            that reads no images.
    """
    problem = read_problem(reply)
    what = f"{status} {_phrase(status)}: {problem.message}"
    if problem.is_content_filter:
        raise RefusedError(f"content filter: {problem.message}")
    if problem.is_too_long:
        raise RequestError(f"{what}{TOO_LONG_HINT}")
    if "image input is not supported" in problem.message:  # llama.cpp sends 500
        raise LatteError(
            f"the model at {options.base_url} reads no images: {what}",
            where="describer.model",
            hint="start the server with a model for images; llama.cpp needs its projector "
            "(--mmproj)",
        )
    if "logprobs" in problem.message.lower():  # OpenAI sends 403, as for a wrong key
        raise RejectedError(what)
    if status == HTTPStatus.PAYMENT_REQUIRED or "insufficient_quota" in problem.codes:
        raise LatteError(
            f"{options.base_url} needs a payment first: {what}", where="describer", hint=SAFE
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise no_key(options, status, key_given)
    if status == HTTPStatus.NOT_FOUND or "model_not_found" in problem.codes:
        raise NotFoundError(what, is_model=problem.is_missing_model)
    if status in _TRANSIENT:
        raise TransientError(what, retry_after(wait, datetime.now(UTC)))
    if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.METHOD_NOT_ALLOWED:
        raise no_address(options, f"{status} {_phrase(status)}")
    raise RejectedError(what)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def no_server(options: OpenAIOptions, what: str) -> LatteError:
    """Return the error for a server that accepts no connection."""
    return LatteError(
        f"no server answers at {options.base_url}: {what}",
        where="describer.base_url",
        hint=f"start the server, or set `base_url`; {SAFE}",
    )


def no_address(options: OpenAIOptions, what: str) -> LatteError:
    """Return the error for a server that runs but does not have the path of `base_url`."""
    return LatteError(
        f"{options.base_url} is not an OpenAI-compatible address: {what}",
        where="describer.base_url",
        hint="it usually ends in /v1",
    )


def no_key(options: OpenAIOptions, status: int, given: bool) -> LatteError:
    """Return the error for status 401 and 403. It omits the message, which may contain the key."""
    name = options.key_env
    what = f"rejects the key in {name}" if given else "needs a key"
    hint = "check that it is valid and may use this model" if given else f"export {name}=..."
    return LatteError(
        f"{options.base_url} {what} (status {status})",
        where="describer.key_env",
        hint=f"{hint}; `key_env` names the variable that the key is read from",
    )


def no_model(
    options: OpenAIOptions, model: str, error: NotFoundError, served: Sequence[str]
) -> LatteError:
    """Return the error for an unknown model; `served` are the models that the server lists."""
    if error.is_model and (not served or model in served):
        does = f"lists {model}, but cannot use it" if served else f"has no model {model}"
        return LatteError(
            f"{options.base_url} {does}: {error}",
            where="describer.model",
            hint="load the model on the server, or name another model",
        )
    if not served:
        return no_address(options, f"{error} (model {model})")
    if model in served:
        return no_address(options, f"it lists {model}, but does not answer questions: {error}")
    nearest = get_close_matches(model, served, n=1, cutoff=0.4)
    guess = f'did you mean "{nearest[0]}"? ' if nearest else ""
    return LatteError(
        f"{options.base_url} has no model {model}",
        where="describer.model",
        hint=f"{guess}it serves {_listed(served)}",
    )


def which_model(options: OpenAIOptions, served: Sequence[str]) -> LatteError:
    """Return the error for a missing option `model` if the server lists no model or several."""
    what = f"{options.base_url} serves {len(served) or 'no'} models: name one"
    return LatteError(
        what, where="describer.model", hint=f"it serves {_listed(served)}" if served else None
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
