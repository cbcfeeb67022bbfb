"""What servers write into replies that report an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_CONTENT_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
    }
)
_QUOTED = 200


@dataclass(frozen=True)
class Problem:
    """An error as the server tells it."""

    message: str
    codes: frozenset[str] = frozenset()
    """Its code and type, in lower case."""

    @property
    def is_content_filter(self) -> bool:
        """Whether the server will not answer this request because of what it shows or says."""
        return bool(self.codes & _CONTENT_CODES)


def read_problem(reply: str) -> Problem:
    """`{"error": {...}}` and its many variants; any other text is quoted."""
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


def excerpt(text: str) -> str:
    """The first 200 characters of `text`, on one line and printable."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _QUOTED])
    line = " ".join(printable.split())
    return f"{line[:_QUOTED]}..." if len(line) > _QUOTED else line or "nothing"


def _codes(error: dict[str, Any]) -> frozenset[str]:
    inner = error.get("innererror")
    places = [error, inner if isinstance(inner, dict) else {}]
    found = [place.get(name) for place in places for name in ("code", "type")]
    return frozenset(str(code).lower() for code in found if code is not None)
