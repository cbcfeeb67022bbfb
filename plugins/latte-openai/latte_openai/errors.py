"""Read a server's error replies, and turn them into exceptions with messages for users."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from latte.api import LatteError, did_you_mean
from latte_openai.options import OpenAIOptions

_CONTENT_CODES = {"content_filter", "content_policy_violation", "moderation_blocked"}
_TOO_LONG = re.compile(r"context (length|size|window)|maximum model length", re.IGNORECASE)
_TOO_LONG_HINT = (
    " (shorten the question or its options, lower `max_side` or `max_tokens`, or start the server "
    "with a longer context)"
)
_REJECTED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_NOT_THIS_PATH = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
_QUOTED = 200
_LISTED = 10
_SAFE = "finished texts are stored: run again to continue"


class RequestError(Exception):
    """Failure of one request, after its retries; other requests may succeed."""


class RejectedError(RequestError):
    """Rejection of one request by the server, because of its fields or its size."""


@dataclass(frozen=True)
class ServerProblem:
    """Error message of a server, with its code and type in lower case."""

    message: str
    codes: frozenset[str] = frozenset()

    @property
    def is_content_filter(self) -> bool:
        """Return True if the server rejects this request because of its content."""
        return bool(self.codes & _CONTENT_CODES)

    @property
    def is_missing_model(self) -> bool:
        """Return True if the server says that it does not have the model."""
        return "model_not_found" in self.codes


def read_problem(reply: Any) -> ServerProblem:
    """Read an error reply: `{"error": {...}}` and its variants; any other reply is quoted."""
    error = reply.get("error") or reply if isinstance(reply, dict) else reply
    if not isinstance(error, dict):
        return ServerProblem(excerpt(error))
    codes = frozenset(str(error.get(name)).lower() for name in ("code", "type"))
    return ServerProblem(excerpt(error.get("message") or error.get("detail") or reply), codes)


def excerpt(reply: Any) -> str:
    """Return the first 200 characters of a text or of JSON, on one line and printable."""
    text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _QUOTED])
    line = " ".join(printable.split())
    return f"{line[:_QUOTED]}..." if len(line) > _QUOTED else line or "nothing"


def status_error(
    status: int, problem: ServerProblem, options: OpenAIOptions, *, has_key: bool
) -> LatteError | RequestError:
    """Return the error for a status other than 200: a `LatteError` if each request would fail."""
    what = f"status {status}: {problem.message}"
    if _TOO_LONG.search(problem.message) or "context_length_exceeded" in problem.codes:
        return RequestError(f"{what}{_TOO_LONG_HINT}")
    if "logprobs" in problem.message.lower():  # OpenAI sends 403, as for a wrong key
        return RejectedError(what)
    if status == HTTPStatus.PAYMENT_REQUIRED or "insufficient_quota" in problem.codes:
        return LatteError(
            f"{options.base_url} needs a payment first: {what}", where="describer", hint=_SAFE
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _no_key(options, status, has_key=has_key)
    if status < HTTPStatus.BAD_REQUEST or status in _NOT_THIS_PATH:
        return LatteError(
            f"{options.base_url} is not an OpenAI-compatible address: {what}",
            where="describer.base_url",
            hint="it usually ends in /v1",
        )
    return (RejectedError if status in _REJECTED else RequestError)(what)


def _no_key(options: OpenAIOptions, status: int, *, has_key: bool) -> LatteError:
    """Return the error without the server's message, which may contain a part of the key."""
    name = options.key_env
    does = f"rejects the key in {name}" if has_key else "needs a key"
    hint = "check that it is valid and may use this model" if has_key else f"export {name}=..."
    return LatteError(
        f"{options.base_url} {does} (status {status})",
        where="describer.key_env",
        hint=f"{hint}; `key_env` names the variable that the key is read from",
    )


def no_server(options: OpenAIOptions, what: str) -> LatteError:
    """Return the error for a server that accepts no connection."""
    return LatteError(
        f"no server answers at {options.base_url}: {what}",
        where="describer.base_url",
        hint=f"start the server, or set `base_url`; {_SAFE}",
    )


def no_model(options: OpenAIOptions, model: str, what: str, served: Sequence[str]) -> LatteError:
    """Return the error for a model or path that is not found; `served` are the listed models."""
    hint = f"{did_you_mean(model, served)} {_listed(served)}".strip()
    if not served or model in served:
        hint = "load the model on the server, and check `base_url`: it usually ends in /v1"
    return LatteError(
        f"{options.base_url} does not find the model {model}: {what}",
        where="describer.model",
        hint=hint,
    )


def which_model(options: OpenAIOptions, served: Sequence[str]) -> LatteError:
    """Return the error for a missing option `model` if the server lists no model or several."""
    return LatteError(
        f"{options.base_url} serves {len(served) or 'no'} models: name one",
        where="describer.model",
        hint=_listed(served) if served else None,
    )


def _listed(names: Sequence[str]) -> str:
    further_count = len(names) - _LISTED
    return f"It serves {', '.join(names[:_LISTED])}" + (
        f" and {further_count} more" if further_count > 0 else ""
    )
