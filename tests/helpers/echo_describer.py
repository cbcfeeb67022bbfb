"""A describer for runs in this process, and a registry that contains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from latte.interfaces import Describer, DescribeRequest, Options
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder
from tests.helpers.recipes import registry_with
from tests.helpers.recorded import RecordedProgress


class EchoOptions(Options):
    word: str = "echo"
    varied: bool = False


class Echo(Describer[EchoOptions]):
    """Returns its word, the prompt, and the beginning of the first image's key."""

    log: ClassVar[list[str]] = []
    """`WORD COUNT` for each batch and `close WORD`, of all describers, in order."""

    @property
    def varies(self) -> bool:
        return self.options.varied

    @property
    def fingerprint(self) -> str:
        return f"echo {self.options.word} {self.options.varied}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        self.log.append(f"{self.options.word} {len(requests)}")
        return [
            f"{self.options.word} {request.prompt} {request.images[0].key[:6]} {request.sample}"
            for request in requests
        ]

    def close(self) -> None:
        self.log.append(f"close {self.options.word}")


def echo_registry() -> Registry:
    """Return the registry of all installed plugins and the describer `echo`."""
    target = "tests.helpers.echo_describer:Echo"
    return registry_with(ComponentSpec("describer", "echo", target, "for tests"))


def run_with_echo(recipe: Path, until: str = "report") -> tuple[Path, RecordedProgress]:
    """Run a recipe with an empty `Echo.log`; return the run folder and the recorded progress."""
    Echo.log.clear()
    registry, progress = echo_registry(), RecordedProgress()
    loaded = load_recipe(recipe, registry)
    run_recipe(loaded, registry, progress, until=until)
    return run_folder(loaded, None).path, progress
