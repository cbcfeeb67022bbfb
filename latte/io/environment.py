"""Read numbers from environment variables."""

from __future__ import annotations

import math
from collections.abc import Mapping

from latte.interfaces import LatteError


def positive_number(
    environment: Mapping[str, str],
    variable: str,
    default: float,
    unit: str,
    *,
    without: str | None = None,
) -> float:
    """Return the number in an environment variable, or `default` if the variable is not set.

    The number must be finite and above 0; it may be 0 if `without` is given. The text `without`
    says in the error's hint what 0 does. Raises `LatteError` for all other values.
    """
    written = environment.get(variable, str(default))
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and (number > 0 or (number == 0 and without))):
        example = f"export {variable}={default:g}"
        raise LatteError(
            f"{variable} is {written!r}, not a number of {unit}",
            hint=f"{example}, or 0 to {without}" if without else example,
        )
    return number
