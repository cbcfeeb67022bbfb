"""Specs: declarations of components and commands that plugins return without slow imports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import pluggy

API_VERSION = 2
"""Version of the plugin interface; plugins for another version are refused with a message."""

ENTRY_POINT_GROUP = "latte.plugins"

Kind = Literal[
    "backbone",
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
"""Key by which a description names the describer that it asks."""

hookspec = pluggy.HookspecMarker("latte")
hookimpl = pluggy.HookimplMarker("latte")


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component, declared without importing it.

    `target` and `options` are `"package.module:Name"`. For every kind but `model`, the target is
    the component's class, and `options` is its options model (None: it has no options). Keep the
    options in a module that does not import torch, so that recipes can be checked quickly. For
    kind `model`, the target is a function without arguments that returns the `Path` of a model
    folder. A recipe names the folder `plugin:NAME`: in `backbone.model` for a model of open_clip,
    or in the `model` option of a component that reads the folder with another library.

    Example:
        >>> from latte.api import ComponentSpec, hookimpl
        >>> @hookimpl
        ... def latte_components():
        ...     return [
        ...         ComponentSpec(
        ...             kind="describer", name="echo", target="latte_echo.describer:Echo",
        ...             options="latte_echo.options:EchoOptions", summary="repeats the question",
        ...         )
        ...     ]
    """

    kind: Kind
    name: str
    target: str
    summary: str
    options: str | None = None
    api_version: int = API_VERSION
    """Version of the plugin interface that the component was written for. Write the number, as in
    `api_version=2`: the default is the version of the installed latte, so it is never refused."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command, `latte NAME`, declared without importing it.

    `target` is `"package.module:name"`: a function whose annotations typer reads, or a
    `typer.Typer` of subcommands. It is imported when the command is called, but not for the help.

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


class Hooks:
    """Hooks that a plugin may implement."""

    @hookspec
    def latte_components(self) -> Iterable[ComponentSpec]:
        """Return the components that this package provides."""
        raise NotImplementedError

    @hookspec
    def latte_commands(self) -> Iterable[CommandSpec]:
        """Return the commands that this package adds to `latte`; it cannot replace latte's own."""
        raise NotImplementedError


def reserved_keys(kind: Kind) -> tuple[str, ...]:
    """Return the keys of a component in a recipe that are not its options."""
    if kind == "backbone":
        return (USE,)
    return (USE, NAME, BY) if kind == "description" else (USE, NAME)
