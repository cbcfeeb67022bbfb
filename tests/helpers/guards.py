"""The guard `fixed` in a package: it returns the verdict that its options name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from latte.registry.registry import load_registry
from tests.helpers.plugin_packages import write_package

PLUGIN = '''
import json, os
from pathlib import Path
from typing import Any
from latte.api import ComponentSpec, Guard, Options, Verdict, hookimpl

class FixedOptions(Options):
    strength: float = 1.0
    reason: str = "the options say so"
    stops: bool = False
    names_known: Any = None

class Fixed(Guard[FixedOptions]):
    """Write the evidence to the file that JUDGED names."""

    def judge(self, evidence):
        if self.options.stops and "GOES_ON" not in os.environ:
            raise KeyboardInterrupt
        if "JUDGED" in os.environ:
            Path(os.environ["JUDGED"]).write_text(json.dumps({
                "labels": evidence.labels.tolist(),
                "trained": evidence.trained,
                "divisible": evidence.divisible,
                "logit_scale": evidence.logit_scale,
                "corrections": None if evidence.corrections is None
                else evidence.corrections.tolist(),
                "candidates": {
                    name: (one.image_features - evidence.image_features).abs().max().item()
                    for name, one in evidence.candidates.items()
                },
            }))
        options = self.options
        signals = {"images": float(len(evidence.labels))}
        known = options.names_known
        return Verdict(options.strength, options.reason, signals, names_known=known)

@hookimpl
def latte_components():
    return [ComponentSpec("guard", "fixed", "fixed_guard:Fixed", "for tests")]
'''


def write_fixed_guard(folder: Path) -> Path:
    """Write the package below `folder`; return its folder, for the import path."""
    plugin = folder / "fixed-guard"
    files = {"fixed_guard.py": PLUGIN}
    write_package(plugin, "fixed-guard", {"fixed_guard": "fixed_guard"}, files)
    return plugin


@contextmanager
def installed(plugin: Path) -> Iterator[None]:
    """Put the package in `plugin` on the import path within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(plugin))
        load_registry.cache_clear()
        yield
    load_registry.cache_clear()


def fixed(strength: float, **options: object) -> str:
    """Return the `--set` value of a guard with this verdict."""
    settings = [f"{key}: {value}" for key, value in {"strength": strength, **options}.items()]
    return f"guard={{use: fixed, {', '.join(settings)}}}"
