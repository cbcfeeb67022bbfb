import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Latte = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="session")
def latte_in_zoo(zoo: Path) -> Latte:
    """Run `latte` in a fresh process that sees every package of the zoo, good and bad."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(zoo), "PYTHONPATH": str(zoo)}

    @cache
    def run(*arguments: str, plugins: str | None = None) -> CompletedProcess[str]:
        chosen = {} if plugins is None else {"LATTE_PLUGINS": plugins}
        command = [sys.executable, "-c", "from latte.cli.main import main; main()", *arguments]
        return subprocess.run(
            command, env=environment | chosen, capture_output=True, text=True, check=False
        )

    return run
