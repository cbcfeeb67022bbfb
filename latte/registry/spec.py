"""Classes by which plugins declare components and commands, and classes for loaded plugins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import pluggy

from latte.interfaces.provider import Provider

API_VERSION = 2
"""Version of the plugin interface; a plugin for a different version is refused with a message."""

ENTRY_POINT_GROUP = "latte.plugins"

Kind = Literal[
    "backbone",
    "encoder",
    "dataset",
    "guard",
    "describer",
    "description",
    "gate",
    "labeler",
    "prototypes",
    "loss",
    "trainable",
    "augmentation",
    "reporter",
    "model",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

USE = "use"
NAME = "name"
BY = "by"
"""Recipe key `by` of a description: the name of the describer that it asks."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker("latte")
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker("latte")


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """Declaration of one component; reading it does not import the component.

    `target` has the form `"package.module:Name"`. For every kind except `model`, it names the
    component's class, which knows its options: see `Component`. For kind `model`, it names a
    function without arguments that returns the `Path` of a model folder. Recipes refer to the
    folder as `plugin:NAME`: in `backbone.model` for a model of open_clip, or in the `model` option
    of a component that reads the folder with another library.

    Example:
        >>> from latte.api import ComponentSpec, hookimpl
        >>> @hookimpl
        ... def latte_components():
        ...     return [
        ...         ComponentSpec(
        ...             kind="describer", name="echo", target="latte_echo.describer:Echo",
        ...             summary="repeats the question",
        ...         )
        ...     ]
    """

    kind: Kind
    name: str
    target: str
    summary: str
    api_version: int = API_VERSION
    """Version of the plugin interface that the component was written for. Write the number, as in
    `api_version=2`: the default is the version of the installed latte, so it is never refused."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """Declaration of one command, `latte NAME`; reading it does not import the command.

    `target` has the form `"package.module:name"` and names a function whose annotations typer
    reads, or a `typer.Typer` with subcommands. latte imports the target when the command is called,
    but not to show the list of commands. A name of two words adds a command to a group of latte, as
    `plugins new` does; `OPEN_GROUPS` are the groups that plugins can add to.

    Example:
        >>> from latte.api import CommandSpec, hookimpl
        >>> @hookimpl
        ... def latte_commands():
        ...     return [CommandSpec("echo", "latte_echo.command:run", "repeats a question")]
    """

    name: str
    target: str
    summary: str
    api_version: int = API_VERSION
    """Version of the plugin interface that the command was written for; see `ComponentSpec`."""


@dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """Declaration of what opens folders with classifiers; reading it imports no classifier.

    `target` has the form `"package.module:function"`. The function gets the `Path` of the folder
    and the name of a torch device, and returns an `ImageClassifier`. A folder is opened by it if
    its file `classifier.json` has `"opened_by": "DISTRIBUTION/NAME"`, with the name of the pip
    package; other keys of the file are the plugin's.

    Example:
        >>> from latte.api import ClassifierSpec, hookimpl
        >>> @hookimpl
        ... def latte_classifiers():
        ...     return [ClassifierSpec("echo", "latte_echo.opened:open_echo", "small networks")]
    """

    name: str
    target: str
    summary: str
    api_version: int = API_VERSION
    """Version of the plugin interface that the function was written for; see `ComponentSpec`."""


OPEN_GROUPS = ("plugins",)
"""Groups of commands, such as `latte plugins`, to which plugins can add commands."""


class Hooks:
    """Hook functions of a plugin's module, which latte calls to find components and commands."""

    @hookspec
    def latte_components(self) -> Iterable[ComponentSpec]:
        """Return the components that this package provides."""
        raise NotImplementedError

    @hookspec
    def latte_commands(self) -> Iterable[CommandSpec]:
        """Return the commands that this package adds; they cannot replace commands of latte."""
        raise NotImplementedError

    @hookspec
    def latte_classifiers(self) -> Iterable[ClassifierSpec]:
        """Return what opens the folders with classifiers that this package writes."""
        raise NotImplementedError


def reserved_keys(kind: Kind) -> tuple[str, ...]:
    """Return keys such as `use`, which a component has in a recipe beside its options.

    Example:
        >>> from latte.api.plugins import reserved_keys
        >>> reserved_keys("loss")
        ('use', 'name')
    """
    if kind == "backbone":
        return (USE,)
    return (USE, NAME, BY) if kind == "description" else (USE, NAME)


BUILTIN_DISTRIBUTION = "latte-clip"

FILE_ENDING = ".py"
"""Ending of the name of a plugin that is one file; names of pip packages have no dot."""

DEFAULT_BACKBONE = f"{BUILTIN_DISTRIBUTION}/open_clip"
"""Backbone component of a recipe whose section `backbone` has no key `use`."""

Status = Literal["ok", "broken", "incompatible", "blocked", "disabled"]


@dataclass(frozen=True)
class Plugin:
    """An installed package of components or commands, whether it was loaded or not.

    Example:
        >>> from latte.api.plugins import Plugin
        >>> Plugin("latte_echo", "latte-echo", "0.1.0", "ok").package
        'latte-echo 0.1.0'
    """

    key: str
    """Name of the package's entry point, which is also the name of its import package."""
    distribution: str
    """Name of the pip package, normalised: lower case, `-` between words."""
    version: str
    status: Status
    """Result of loading the plugin; it is not loaded if it is `blocked` (`LATTE_PLUGINS` leaves it
    out) or `disabled` (by `latte plugins disable`)."""
    error: str | None = None
    """Reason for the status in one line, for every status except `ok`."""
    detail: str | None = None
    """Traceback of the exception that made the plugin `broken`."""
    specs: tuple[ComponentSpec, ...] = ()
    """Declared components, including those that the plugin declared before it failed."""
    commands: tuple[CommandSpec, ...] = ()
    classifiers: tuple[ClassifierSpec, ...] = ()
    file: str | None = None
    """Absolute path of a plugin that is one file, which `--plugin` named. Its `distribution` is the
    name of the file, and its `version` a digest of the content."""

    @property
    def package(self) -> str:
        """Package and version, for messages."""
        return f"{self.distribution} {self.version}"

    @property
    def failed(self) -> bool:
        """True if loading the package failed."""
        return self.status in ("broken", "incompatible")


@dataclass(frozen=True)
class Registered:
    """A component that recipes can name, and the package that provides it.

    Example:
        >>> from latte.api.plugins import load_registry
        >>> load_registry().get("loss", "contrastive").full_name
        'latte-clip/contrastive'
    """

    spec: ComponentSpec
    distribution: str
    """Package that provides the component; its name and version are recorded."""
    version: str

    @property
    def shown_name(self) -> str:
        """Name of the component in messages."""
        return self.spec.name

    @property
    def full_name(self) -> str:
        """Full name, `distribution/name`, which is unique among the components of a kind."""
        return f"{self.distribution}/{self.spec.name}"

    @property
    def package(self) -> str:
        """Package and version, for messages."""
        return f"{self.distribution} {self.version}"

    @property
    def provider(self) -> Provider:
        """The component and its package, for errors about what the component returns."""
        return Provider(f"{self.spec.kind} {self.shown_name}", self.distribution, self.version)
