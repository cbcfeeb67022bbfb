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


def loss(name: str, target: str = "losses:Thing", **more: object) -> str:
    return spec("loss", name, f"PACKAGE.{target}", **more)


def plugin(*specs: str) -> str:
    return PLUGIN.format(specs="\n".join(f"        {one}," for one in specs))


COMMANDS = """
from latte.api import CommandSpec, hookimpl

@hookimpl
def latte_commands():
    return [{specs}]
"""


def commands(**targets: str) -> str:
    specs = [
        f"CommandSpec({name!r}, 'PACKAGE.{to}', 'says {name}')" for name, to in targets.items()
    ]
    return COMMANDS.format(specs=", ".join(specs))


@dataclass(frozen=True)
class Package:
    """A distribution with one import package that has a module `plugin`.

    Its texts name the package `PACKAGE`; without `package`, it has the name of the distribution.
    """

    distribution: str
    plugin: str
    modules: dict[str, str] = field(default_factory=dict)
    version: str = "1.0"
    entry_points: str = "PACKAGE = PACKAGE.plugin"
    package: str = ""

    def write_wheel(self, folder: Path) -> Path:
        stem = f"{self.distribution.replace('-', '_')}-{self.version}"
        package = self.package or self.distribution.replace("-", "_").lower()
        modules = {"__init__": "", "plugin": self.plugin} | self.modules
        files = {f"{package}/{name}.py": dedent(text) for name, text in modules.items()}
        files |= {
            f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {self.distribution}\n"
            f"Version: {self.version}\n",
            f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: zoo\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n",
            f"{stem}.dist-info/entry_points.txt": f"[latte.plugins]\n{self.entry_points}\n",
        }
        files = {name: text.replace("PACKAGE", package) for name, text in files.items()}
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
    from pydantic import Field
    from latte.api import Loss, NoOptions, Options

    class HingeOptions(Options):
        margin: float = Field(default=0.2, ge=0.0, description="how far apart")
        rows: int = Field(description="how many")

    class Hinge(Loss[HingeOptions]):
        requires = "targets"

        def __call__(self, image_features, supervision, logit_scale):
            return 0.0

    class Unfinished(Loss):
        requires = "targets"

    class NotALoss:
        pass

    class Fussy(Hinge):
        options_type = NoOptions

        def __init__(self, options, context):
            raise ValueError("no such margin")
"""

MODELS_MODULE = """
    from pathlib import Path
    def folder(): return Path(__file__).parent
    def gone(): return Path(__file__).parent / "nowhere"
"""

WORDS_MODULE = """
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

ZOO = [
    Package(
        "Latte_Good",
        plugin(
            loss("hinge", "losses:Hinge"),
            loss("fussy", "losses:Fussy"),
            loss("twin", "losses:Hinge"),
            spec("model", "folder", "PACKAGE.models:folder"),
            spec("model", "gone", "PACKAGE.models:gone"),
        ),
        {"losses": LOSS_MODULE, "models": MODELS_MODULE},
        version="1.2",
    ),
    Package(
        "latte-faulty",
        plugin(
            loss("twin", "losses:NotALoss"),
            loss("not-a-loss", "losses:NotALoss"),
            loss("unfinished", "losses:Unfinished"),
            loss("no-module", "nothing:Gone"),
            loss("no-class", "losses:Gone"),
        ),
        {"losses": LOSS_MODULE},
    ),
    Package(
        "latte-talks",
        commands(
            shout="words:shout",
            words="words:words",
            both="words:shout",
            gone="nothing:gone",
            run="words:shout",
        ),
        {"words": WORDS_MODULE},
    ),
    Package("latte-echoes", commands(both="words:echo")),
    Package("latte-unimportable", "import a_package_that_nobody_has"),
    Package("latte-outdated", "from latte.api import RemovedName"),
    Package("latte-exits", "print('bye')\nraise SystemExit(3)"),
    Package("latte-misspelt", plugin(loss("lost")).replace("latte_components", "latte_componets")),
    Package("latte-unmarked", plugin(loss("lost")).replace("@hookimpl", "")),
    Package("latte-silent", plugin(loss("lost")).replace("return", "nothing =")),
    Package("latte-strings", plugin('"PACKAGE.losses:Lost"')),
    Package("latte-future", plugin(loss("tomorrow", api_version=99))),
    Package("latte-doubled", plugin(*[loss("double")] * 2)),
    Package("latte-bad-kind", plugin(spec("lose", "thing", "PACKAGE.losses:Thing"))),
    Package("latte-bad-name", plugin(loss("Big Thing"))),
    Package("latte-bad-target", plugin(loss("dotted", "losses.Thing"))),
    Package("latte-bad-key", plugin(loss("keyed")), entry_points="bad-key = PACKAGE.plugin"),
    Package(
        "latte-two-keys",
        plugin(loss("two")),
        entry_points="PACKAGE = PACKAGE.plugin\nPACKAGE.plugin = PACKAGE.plugin",
    ),
    Package("latte-twin-a", plugin(loss("a")), package="latte_twin"),
    Package("latte-twin-b", plugin(loss("b")), package="latte_twin"),
    Package("latte-impostor", "", entry_points="latte = latte.components"),
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
