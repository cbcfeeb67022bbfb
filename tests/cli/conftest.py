import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.helpers.command_line import LatteProcess


@pytest.fixture(scope="session")
def latte_in_zoo(zoo: Path) -> LatteProcess:
    """Run `latte` in a fresh process with every package of the zoo installed."""

    @cache
    def run(*arguments: str, plugins: str | None = None) -> CompletedProcess[str]:
        return _run(zoo, arguments, {} if plugins is None else {"LATTE_PLUGINS": plugins})

    return run


@pytest.fixture
def latte_of_a_user(zoo: Path, tmp_path: Path) -> LatteProcess:
    """Run `latte` like `latte_in_zoo`, with `tmp_path` as configuration folder."""

    def run(*arguments: str) -> CompletedProcess[str]:
        return _run(zoo, arguments, {"LATTE_CONFIG": str(tmp_path)})

    return run


def _run(zoo: Path, arguments: Sequence[str], chosen: Mapping[str, str]) -> CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(zoo), "PYTHONPATH": str(zoo), **chosen}
    command = [sys.executable, "-c", "from latte.cli.main import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
