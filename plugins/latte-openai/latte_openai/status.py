"""What a reply's status means: for this request, for all of them, or only for now."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import NoReturn

from latte_openai.failures import NotFoundError, RefusedError, RequestError, TransientError
from latte_openai.mistakes import no_address, no_credit, no_key
from latte_openai.options import OpenAIOptions
from latte_openai.problem import read_problem
from latte_openai.waiting import retry_after

_TRANSIENT = frozenset({408, 409, 429, 500, 502, 503, 504})


def refuse(
    status: int, reply: str, wait: str | None, options: OpenAIOptions, key_given: bool
) -> NoReturn:
    """Raise what `status`, which is no success, means; `wait` is the header `Retry-After`."""
    problem = read_problem(reply)
    what = f"{status} {_phrase(status)}: {problem.message}"
    if problem.is_content_filter:
        raise RefusedError(f"content filter: {problem.message}")
    if status == HTTPStatus.PAYMENT_REQUIRED or "insufficient_quota" in problem.codes:
        raise no_credit(options, what)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise no_key(options, status, key_given)
    if status == HTTPStatus.NOT_FOUND or "model_not_found" in problem.codes:
        raise NotFoundError(what)
    if status in _TRANSIENT:
        raise TransientError(what, retry_after(wait, datetime.now(UTC)))
    if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.METHOD_NOT_ALLOWED:
        raise no_address(options, f"{status} {_phrase(status)}")
    raise RequestError(what)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
