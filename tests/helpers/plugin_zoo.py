"""Small packages, working and broken, installed in a folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from tests.helpers.plugin_packages import write_package

PLUGIN = """
from latte.api import ComponentSpec, hookimpl

@hookimpl
def latte_components():
    return [
{specs}
    ]
"""


def spec(kind: str, name: str, target: str, **options: object) -> str:
    fields = {"kind": kind, "name": name, "target": target, "summary": f"about {name}"} | options
    return f"ComponentSpec({', '.join(f'{key}={value!r}' for key, value in fields.items())})"


def loss(name: str, target: str = "losses:Thing", **options: object) -> str:
    return spec("loss", name, f"PACKAGE.{target}", **options)


def plugin(*specs: str) -> str:
    return PLUGIN.format(specs="\n".join(f"        {component}," for component in specs))


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
    entry_points: Mapping[str, str] = field(default_factory=lambda: {"PACKAGE": "PACKAGE.plugin"})
    package: str = ""

    def install(self, site: Path) -> None:
        package = self.package or self.distribution.replace("-", "_").lower()

        def named(text: str) -> str:
            return dedent(text).replace("PACKAGE", package)

        modules = {"__init__": "", "plugin": self.plugin} | self.modules
        files = {f"{package}/{name}.py": named(text) for name, text in modules.items()}
        points = {named(key): named(target) for key, target in self.entry_points.items()}
        write_package(site, self.distribution, points, files, self.version)


LOSS_MODULE = """
    print("noise on stdout while the module is imported")
    from pydantic import Field
    from latte.api import Loss, NoOptions, Options

    class HingeOptions(Options):
        margin: float = Field(default=0.2, ge=0.0, description="how far apart")
        rows: int = Field(description="how many")

    class Hinge(Loss[HingeOptions]):
        def __call__(self, image_features, supervision, logit_scale):
            return 0.0

    class Unfinished(Loss):
        pass

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
            **{"plugins shout": "words:shout", "plugins disable": "words:shout"},
        ),
        {"words": WORDS_MODULE},
    ),
    Package("latte-echoes", commands(both="words:echo")),
    Package("latte-intrudes", commands(**{"recipes mine": "words:echo"})),
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
    Package("latte-bad-key", plugin(loss("keyed")), entry_points={"bad-key": "PACKAGE.plugin"}),
    Package(
        "latte-two-keys",
        plugin(loss("two")),
        entry_points={"PACKAGE": "PACKAGE.plugin", "PACKAGE.plugin": "PACKAGE.plugin"},
    ),
    Package("latte-twin-a", plugin(loss("a")), package="latte_twin"),
    Package("latte-twin-b", plugin(loss("b")), package="latte_twin"),
    Package("latte-impostor", "", entry_points={"latte": "latte.components"}),
]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PYTHONPATH with every package of `ZOO`."""
    site = tmp_path_factory.mktemp("zoo")
    for package in ZOO:
        package.install(site)
    return site
