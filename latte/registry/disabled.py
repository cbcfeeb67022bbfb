"""Plugins that a user has switched off: remembered in the user's configuration folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from latte.interfaces import LatteError
from latte.io.files import write_json


def disabled_file(environment: Mapping[str, str] = os.environ) -> Path:
    """`plugins.json` in `LATTE_CONFIG`, or in the user's configuration folder."""
    chosen = environment.get("LATTE_CONFIG")
    folder = Path(chosen).expanduser() if chosen else Path(platformdirs.user_config_dir("latte"))
    return folder / "plugins.json"


def read_disabled(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Package names, normalised. Raises `LatteError` for a damaged file."""
    path = disabled_file(environment)
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["disabled"]
        if not isinstance(names, list):
            raise TypeError("disabled is no list")
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LatteError(
            f"this file cannot be read ({error})",
            where=str(path),
            hint="remove it: all installed plugins are then used",
        ) from error
    return frozenset(str(name) for name in names)


def write_disabled(names: frozenset[str], environment: Mapping[str, str] = os.environ) -> Path:
    """Remember `names` in place of what was there; returns the file."""
    path = disabled_file(environment)
    write_json(path, {"disabled": sorted(names)})
    return path
