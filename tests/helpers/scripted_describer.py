"""A describer in an installed package that logs every request, for runs in other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.plugin_packages import write_package
from tests.helpers.whole_runs import environment, run

PLUGIN = '''
import os, time
from pathlib import Path
from latte.api import ComponentSpec, Describer, Options, Refusal, hookimpl

class NotingOptions(Options):
    model: str = "small"
    temperature: float = 0.0
    batch: int = 2

class Noting(Describer[NotingOptions]):
    """Returns the request as text; refuses images whose key begins with REFUSE, fails for FAIL.

    From the second batch on, answers wait while the file HOLD exists.
    """

    max_images = 4

    @property
    def batch_size(self):
        return self.options.batch

    @property
    def fingerprint(self):
        return f"noting-1 {self.options.model} {self.options.temperature}"

    @property
    def counters(self):
        return {"tokens": 1000 * getattr(self, "answered", 0)}

    def describe(self, requests):
        texts = [self._answer(request) for request in requests]
        self.answered = getattr(self, "answered", 0) + len(texts)
        with Path(os.environ["ASKED"]).open("a") as file:
            file.writelines(
                f"{os.getpid()} {self._about(request)}\\n"
                for request, text in zip(requests, texts)
                if not isinstance(text, Exception)
            )
        hold = Path(os.environ.get("HOLD", "/nowhere"))
        while self.answered > len(requests) and hold.exists():
            time.sleep(0.01)
        return texts

    def _answer(self, request):
        about = self._about(request)
        if about.startswith(os.environ.get("FAIL", "-")):
            return RuntimeError(f"503 {os.environ['FAIL']}")
        return Refusal("filter") if about.startswith(os.environ.get("REFUSE", "-")) else about

    def _about(self, request):
        images = "+".join(image.key[:8] for image in request.images)
        options = self.options
        return f"{images} {request.prompt} {options.model} {options.temperature}"

@hookimpl
def latte_components():
    return [ComponentSpec("describer", "noting", "noting_describer:Noting", "for tests")]
'''


class Noting:
    """The plugin, installed in `folder`, and its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugin = folder / "noting-plugin"
        self.log = folder / "asked.txt"
        points, files = {"noting_describer": "noting_describer"}, {"noting_describer.py": PLUGIN}
        write_package(self.plugin, "noting-describer", points, files)

    @property
    def asked(self) -> list[str]:
        """Every request so far, in the order of the answers."""
        return [line.partition(" ")[2] for line in self._lines()]

    def asked_by(self, process: int) -> list[str]:
        """Requests of one process."""
        lines = (line.partition(" ") for line in self._lines())
        return [request for asking, _, request in lines if asking == str(process)]

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def start(self, *arguments: str | Path, **changes: str) -> subprocess.Popen[str]:
        """Start `latte ARGUMENTS` in another process."""
        return subprocess.Popen(
            [sys.executable, "-m", "latte", *map(str, arguments)],
            cwd=self.folder,
            env={
                **environment(self.folder),
                "PYTHONPATH": f"{self.plugin}{os.pathsep}{Path(__file__).parents[2]}",
                "ASKED": str(self.log),
                **changes,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def describer(model: str = "small", temperature: float = 0.0, batch: int = 2) -> str:
    """Return an override that makes `noting` the describer of a recipe."""
    return f"describer={{use: noting, model: {model}, temperature: {temperature}, batch: {batch}}}"


def noting_first(recipe: Path, noting: Noting) -> str:
    """Return the start of the key of the first image that a run of `recipe` asks about."""
    folder, _, _ = run(recipe, describer(model="probe"), until="data", limit=12)
    first_image = json.loads((folder / "data" / "training.jsonl").read_text().splitlines()[0])
    return str(first_image["key"])[:8]
