"""Whether a plugin stays light: asked of a fresh interpreter, once for each package."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

_PROGRAM = """
import sys
from latte.registry.registry import load_registry

registry = load_registry()
if "torch" in sys.modules:
    print("the plugin's module")
    sys.exit()
for one in registry.all():
    if one.distribution == sys.argv[1] and one.spec.kind != "model":
        registry.options_model(one)
        if "torch" in sys.modules:
            print(one.spec.options)
            sys.exit()
"""


@cache
def imports_torch(distribution: str) -> str:
    """What of the package `distribution` imports torch before anything is run; empty if nothing."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LATTE_PLUGINS": distribution,
    }
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, distribution],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"listing {distribution} failed:\n{ended.stderr}"
    return ended.stdout.strip()
