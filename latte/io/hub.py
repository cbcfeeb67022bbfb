"""Repositories of the Hugging Face hub: their names, bounded waiting, and errors in one line.

`huggingface_hub` is imported at the first use, because its import takes a fifth of a second.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import PurePath
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.io.machine import machine_error

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

PREFIX = "hf:"
"""Beginning of the name of a model in a repository, as in `hf:owner/name@revision`."""
_FORM = "hf:OWNER/NAME or hf:OWNER/NAME@REVISION"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_]|[.-](?![.-]))*(?<![.-])"
"""Owner or name of a repository: the hub accepts neither `--` nor `..`, nor either at an end."""
_NAME = re.compile(
    rf"hf:(?P<repository>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9](?:[A-Za-z0-9._-]|/(?!/))*))?"
)
THREAD = "latte-hub"
"""Name of threads that wait for the hub."""
_LONGEST_REPOSITORY = 96
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATIENCE_VARIABLE = "HF_HUB_ETAG_TIMEOUT"
_PATIENCE = 3.0
"""Seconds to wait for the hub's first answer, unless `HF_HUB_ETAG_TIMEOUT` is set."""
SILENCE = 30.0
"""Seconds for which the hub may send nothing in the middle of its work."""
_SLOWEST = 20_000
"""Bytes per second of the slowest connection that is waited for."""
_LOGIN = "hf auth login, or set HF_TOKEN"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class HubName:
    """Name of a repository with a model of latte, and of its revision if one is chosen."""

    repository: str
    revision: str | None = None

    @property
    def is_commit(self) -> bool:
        """True if the revision is a whole commit hash, whose files never change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        """Return the name as a person types it."""
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def hub_name(value: object) -> HubName | None:
    """Return the name of a repository that begins with `hf:`; None for any other value.

    Raises `LatteError` for a name that no repository or revision can have.
    """
    text = value.as_posix() if isinstance(value, PurePath) else value
    text = os.fspath(text) if isinstance(text, PathLike) else text
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return None
    match = _NAME.fullmatch(text)
    is_possible = match is not None and len(match["repository"]) <= _LONGEST_REPOSITORY
    if match is None or not is_possible or ".." in text:
        raise LatteError("this names no repository of the hub", where=text, hint=f"write {_FORM}")
    return HubName(match["repository"], match["revision"])


def patience() -> float:
    """Return the seconds to wait for the hub's first answer."""
    return float(os.environ.get(_PATIENCE_VARIABLE, _PATIENCE))


def first_answer(ask: Callable[[float], ResultT]) -> ResultT:
    """Return what `ask` returns, which is called with the seconds to wait for an answer.

    Raises `TimeoutError` without an answer in this time.
    """
    seconds = patience()
    advice = f" (the variable {_PATIENCE_VARIABLE} changes this time)"
    return call_within(seconds, lambda: ask(seconds), advice)


def transfer_time(size: int) -> float:
    """Return the seconds in which a file or folder of `size` bytes must be transferred."""
    return SILENCE + size / _SLOWEST


def call_within(seconds: float, call: Callable[[], ResultT], advice: str = "") -> ResultT:
    """Return the result of `call`; raise its error, or `TimeoutError` after so many `seconds`.

    An HTTP timeout is not enough: it does not limit the DNS look-up, it starts again for each
    address of the host and for each retry, and the hub's client sets none for some requests. So
    `call` runs in a thread, which is left behind if it takes too long.
    """
    results: list[ResultT] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=run, name=THREAD, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s{advice}")
    return results[0]


@contextmanager
def hub_session(*, shows_bars: bool) -> Iterator[None]:
    """Bound how long an upload waits for an answer, and silence the hub's client in the block.

    It shows no warnings about retries, and bars only if `shows_bars`, on a terminal.
    """
    utils: Any = import_module("huggingface_hub.utils")  # its types hide what it exports
    had_bars, verbosity = not utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    session = utils.get_session()
    timeout, session.timeout = session.timeout, SILENCE
    if not (shows_bars and sys.stderr.isatty()):
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        session.timeout = timeout
        utils.logging.set_verbosity(verbosity)
        if had_bars:
            utils.enable_progress_bars()


def is_unreachable(error: BaseException) -> bool:
    """Return True if the hub gave no answer, or one that says that it does not work."""
    answered = refusal(error)
    if answered is not None:
        return int(answered.response.status_code) >= 500
    # The HTTP client has another name in each major version of huggingface_hub.
    names = [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
    is_client = any(name.startswith("httpx") for name in names)
    return is_client or isinstance(error, ConnectionError | TimeoutError)


def refusal(error: BaseException | None) -> HfHubHTTPError | None:
    """Return the error with the hub's answer among `error` and its causes; None without one."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


@contextmanager
def hub_errors(name: HubName, doing: str) -> Iterator[None]:
    """Raise errors of the hub and of its client as `LatteError`; `doing` says what fails."""
    try:
        yield
    except LatteError:
        raise
    except Exception as error:  # errors of the client have many types
        raise machine_error(error) or _explained(error, name, doing) from error


def _explained(error: Exception, name: HubName, doing: str) -> LatteError:
    from huggingface_hub import constants

    reason, answered = error_line(error, with_type=False), refusal(error)
    if answered is None and is_unreachable(error):
        what, hint = f"{constants.ENDPOINT} cannot be reached: {reason}", "check the network"
    elif answered is None:
        what, hint = reason, ""
    else:
        what, hint = _meaning(answered, name)
    return LatteError(f"cannot {doing}: {what}", where=str(name), hint=hint or None)


def _meaning(error: HfHubHTTPError, name: HubName) -> tuple[str, str]:
    """Return what an answer of the hub says, and what to do about it."""
    from huggingface_hub import constants, errors

    status = int(error.response.status_code)
    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{name.repository}"
        return "it is gated", f"accept its terms on {page}, then: {_LOGIN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {name.revision or 'main'}", "check the name after @"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        what = "there is no such repository, or your token may not read it"
        return what, f"check the name; for a private repository: {_LOGIN}"
    if status == 401:
        return "the hub does not accept the token (401)", f"{_LOGIN} to a valid token"
    if status == 403:
        return "the token may not do this (403)", "use a token with more rights there"
    if status >= 500:
        return f"{constants.ENDPOINT} does not work (status {status})", "try again later"
    return f"the hub answers with status {status}: {error_line(error, with_type=False)}", ""
