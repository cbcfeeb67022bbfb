"""Small packages, working and broken, that pip installs into a folder."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

PLUGIN = """
from latte.api import ComponentSpec, hookimpl

@hookimpl
def latte_components():
    return [
{specs}
    ]
"""


def spec(kind: str, name: str, target: str, **more: object) -> str:
    fields = {"kind": kind, "name": name, "target": target, "summary": f"about {name}"} | more
    return f"ComponentSpec({', '.join(f'{key}={value!r}' for key, value in fields.items())})"


def plugin(*specs: str) -> str:
    return PLUGIN.format(specs="\n".join(f"        {one}," for one in specs))


COMMANDS = """
from latte.api import CommandSpec, hookimpl

@hookimpl
def latte_commands():
    return [{specs}]
"""


def commands(**targets: str) -> str:
    specs = [f"CommandSpec({name!r}, {to!r}, 'says {name}')" for name, to in targets.items()]
    return COMMANDS.format(specs=", ".join(specs))


@dataclass(frozen=True)
class Package:
    """A distribution with one import package that has a module `plugin`."""

    distribution: str
    package: str
    plugin: str
    modules: dict[str, str] = field(default_factory=dict)
    version: str = "1.0"
    entry_points: str = ""

    def write_wheel(self, folder: Path) -> Path:
        stem = f"{self.distribution.replace('-', '_')}-{self.version}"
        points = self.entry_points or f"{self.package} = {self.package}.plugin"
        modules = {"__init__": "", "plugin": self.plugin} | self.modules
        files = {f"{self.package}/{name}.py": dedent(text) for name, text in modules.items()}
        files |= {
            f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {self.distribution}\n"
            f"Version: {self.version}\n",
            f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: zoo\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n",
            f"{stem}.dist-info/entry_points.txt": f"[latte.plugins]\n{points}\n",
        }
        wheel = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
            record = f"{stem}.dist-info/RECORD"
            archive.writestr(record, "".join(map(_record, files.items())) + f"{record},,\n")
        return wheel


def _record(item: tuple[str, str]) -> str:
    name, text = item
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}\n"


LOSS_MODULE = """
    print("noise on stdout while the module is imported")
    from latte.api import Loss

    class Hinge(Loss):
        requires = "targets"

        def __call__(self, image_features, supervision, logit_scale):
            return 0.0

    class Unfinished(Loss):
        requires = "targets"

    class NotALoss:
        pass

    class Fussy(Hinge):
        def __init__(self, options, context):
            raise ValueError("no such margin")
"""

OPTIONS_MODULE = """
    from pydantic import Field
    from latte.api import Options

    class HingeOptions(Options):
        margin: float = Field(default=0.2, ge=0.0, description="how far apart")
        rows: int = Field(description="how many")
"""

ZOO = [
    Package(
        "Latte_Good",
        "latte_good",
        plugin(
            spec(
                "loss",
                "hinge",
                "latte_good.losses:Hinge",
                options="latte_good.options:HingeOptions",
            ),
            spec("loss", "fussy", "latte_good.losses:Fussy"),
            spec("loss", "twin", "latte_good.losses:Hinge"),
            spec("model", "folder", "latte_good.models:folder"),
            spec("model", "gone", "latte_good.models:gone"),
        ),
        {
            "losses": LOSS_MODULE,
            "options": OPTIONS_MODULE,
            "models": """
                from pathlib import Path
                def folder(): return Path(__file__).parent
                def gone(): return Path(__file__).parent / "nowhere"
            """,
        },
        version="1.2",
    ),
    Package(
        "latte-faulty",
        "latte_faulty",
        plugin(
            spec("loss", "twin", "latte_faulty.losses:NotALoss"),
            spec("loss", "not-a-loss", "latte_faulty.losses:NotALoss"),
            spec("loss", "unfinished", "latte_faulty.losses:Unfinished"),
            spec("loss", "no-module", "latte_faulty.nothing:Gone"),
            spec("loss", "no-class", "latte_faulty.losses:Gone"),
            spec(
                "loss",
                "bad-options",
                "latte_faulty.losses:Unfinished",
                options="latte_faulty.options:Any",
            ),
            spec(
                "loss",
                "odd-options",
                "latte_faulty.losses:Unfinished",
                options="latte_faulty.losses:NotALoss",
            ),
        ),
        {"losses": LOSS_MODULE, "options": "import a_package_that_nobody_has"},
    ),
    Package(
        "latte-talks",
        "latte_talks",
        commands(
            shout="latte_talks.words:shout",
            words="latte_talks.words:words",
            both="latte_talks.words:shout",
            gone="latte_talks.nothing:gone",
            run="latte_talks.words:shout",
        ),
        {
            "words": """
    import typer

    words = typer.Typer()

    @words.command()
    def count(text: str) -> None:
        "Count the words of a text."
        print(len(text.split()))

    @words.command()
    def first(text: str) -> None:
        "Print the first word of a text."
        print(text.split()[0])

    def shout(text: str, times: int = 1) -> None:
        "Print a text in capitals."
        print(text.upper() * times)
    """
        },
    ),
    Package("latte-echoes", "latte_echoes", commands(both="latte_echoes.words:echo")),
    Package("latte-unimportable", "latte_unimportable", "import a_package_that_nobody_has"),
    Package("latte-outdated", "latte_outdated", "from latte.api import RemovedName"),
    Package("latte-exits", "latte_exits", "print('bye')\nraise SystemExit(3)"),
    Package(
        "latte-misspelt",
        "latte_misspelt",
        plugin(spec("loss", "lost", "latte_misspelt.losses:Lost")).replace(
            "def latte_components", "def latte_componets"
        ),
    ),
    Package(
        "latte-unmarked",
        "latte_unmarked",
        plugin(spec("loss", "lost", "latte_unmarked.losses:Lost")).replace("@hookimpl", ""),
    ),
    Package(
        "latte-silent",
        "latte_silent",
        plugin(spec("loss", "lost", "latte_silent.losses:Lost")).replace("return", "nothing ="),
    ),
    Package(
        "latte-strings",
        "latte_strings",
        plugin('"latte_strings.losses:Lost"'),
    ),
    Package(
        "latte-future",
        "latte_future",
        plugin(spec("loss", "tomorrow", "latte_future.losses:Tomorrow", api_version=99)),
    ),
    Package(
        "latte-doubled",
        "latte_doubled",
        plugin(*[spec("loss", "double", "latte_doubled.losses:Double")] * 2),
    ),
    Package(
        "latte-bad-kind",
        "latte_bad_kind",
        plugin(spec("lose", "thing", "latte_bad_kind.losses:Thing")),
    ),
    Package(
        "latte-bad-name",
        "latte_bad_name",
        plugin(spec("loss", "Big Thing", "latte_bad_name.losses:Thing")),
    ),
    Package(
        "latte-bad-target",
        "latte_bad_target",
        plugin(spec("loss", "dotted", "latte_bad_target.losses.Thing")),
    ),
    Package(
        "latte-bad-key",
        "latte_bad_key",
        plugin(spec("loss", "keyed", "latte_bad_key.losses:Thing")),
        entry_points="bad-key = latte_bad_key.plugin",
    ),
    Package(
        "latte-two-keys",
        "latte_two_keys",
        plugin(spec("loss", "two", "latte_two_keys.losses:Thing")),
        entry_points="latte_two_keys = latte_two_keys.plugin\n"
        "latte_two_keys.plugin = latte_two_keys.plugin",
    ),
    Package("latte-twin-a", "latte_twin", plugin(spec("loss", "a", "latte_twin.losses:A"))),
    Package("latte-twin-b", "latte_twin", plugin(spec("loss", "b", "latte_twin.losses:B"))),
    Package("latte-impostor", "latte_impostor", "", entry_points="latte = latte.components"),
]


def install(packages: list[Package], folder: Path) -> Path:
    """Install `packages` with pip into `folder`/site; returns it."""
    wheels = [str(package.write_wheel(folder)) for package in packages]
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-compile", "--target", str(site)]
    subprocess.run([*pip, *offline, *wheels], check=True, capture_output=True)
    return site


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PYTHONPATH with every package of `ZOO`."""
    return install(ZOO, tmp_path_factory.mktemp("zoo"))
