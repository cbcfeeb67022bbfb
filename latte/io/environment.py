"""Read settings from environment variables."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from latte.interfaces import LatteError


def cache_folder() -> Path:
    """Return the cache folder of all runs: `LATTE_CACHE`, else `latte` in the user's cache."""
    cache_path = os.environ.get("LATTE_CACHE")
    return (
        Path(cache_path).expanduser() if cache_path else Path(platformdirs.user_cache_dir("latte"))
    )


def positive_number(
    environment: Mapping[str, str],
    variable: str,
    default: float,
    unit: str,
    *,
    without: str | None = None,
) -> float:
    """Return the number in an environment variable, or `default` if the variable is not set.

    Raises `LatteError` if the number is not finite or not above 0. With `without`, a clause that
    says what 0 does, 0 is allowed, and the error's hint contains the clause.
    """
    setting = environment.get(variable, str(default))
    try:
        number = float(setting)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and (number > 0 or (number == 0 and without))):
        example = f"export {variable}={default:g}"
        raise LatteError(
            f"{variable} is {setting!r}, not a number of {unit}",
            hint=f"{example}, or 0 to {without}" if without else example,
        )
    return number
