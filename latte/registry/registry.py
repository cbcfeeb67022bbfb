"""The registry: every component that is installed, found by name, loaded when it is used."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from packaging.utils import canonicalize_name

from latte.interfaces import (
    Component,
    Context,
    Dataset,
    Describer,
    DescriptionType,
    Gate,
    Guard,
    LatteError,
    Loss,
    NoOptions,
    Options,
    PrototypeAggregator,
    PseudoLabeler,
    Reporter,
)
from latte.registry.discovery import discover_plugins
from latte.registry.load import import_target, one_line
from latte.registry.messages import ambiguous_component, broken_component, unknown_component
from latte.registry.plugin import BUILTIN_DISTRIBUTION, Plugin, Registered
from latte.registry.spec import KINDS, Kind

_log = logging.getLogger("latte.plugins")

_INTERFACES: dict[Kind, type[Component[Any]]] = {
    "dataset": Dataset,
    "guard": Guard,
    "describer": Describer,
    "description": DescriptionType,
    "gate": Gate,
    "labeler": PseudoLabeler,
    "prototypes": PrototypeAggregator,
    "loss": Loss,
    "reporter": Reporter,
}


@functools.cache
def load_registry() -> Registry:
    """The registry of this process. Warns of each broken plugin in one line, once; no torch."""
    registry = Registry(discover_plugins())
    for plugin in registry.plugins:
        if plugin.failed:
            _log.warning("plugin %s is %s: %s", plugin.package, plugin.status, plugin.error)
    return registry


class Registry:
    """Installed components by kind and name."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = tuple(plugins)
        components = [
            Registered(spec, plugin.distribution, plugin.version)
            for plugin in plugins
            if plugin.status == "ok"
            for spec in plugin.specs
        ]
        self._components = sorted(components, key=lambda one: KINDS.index(one.spec.kind))

    def all(self, kind: Kind | None = None) -> list[Registered]:
        """Every component, or those of one kind: in the order of `KINDS`, built-in ones first."""
        return [one for one in self._components if kind in (None, one.spec.kind)]

    def get(self, kind: Kind, name: str, where: str | None = None) -> Registered:
        """The component called `name`, which is short where unique, or `distribution/name`.

        Raises `LatteError`, at `where`, if there is none or if several packages have it.
        """
        known = self.all(kind)
        distribution, slash, short = name.rpartition("/")
        found = [one for one in known if one.spec.name == short]
        if slash:
            found = [one for one in found if one.distribution == canonicalize_name(distribution)]
        if not found:
            raise unknown_component(kind, name, known, self.plugins, where)
        if len(found) > 1:
            raise ambiguous_component(kind, name, found, where)
        return found[0]

    def options_model(self, registered: Registered) -> type[Options]:
        """The component's options; imports the module that they are in and nothing else."""
        target = registered.spec.options
        if target is None:
            return NoOptions
        model = _import(registered, target)
        if not (inspect.isclass(model) and issubclass(model, Options)):
            raise broken_component(registered, f"{target} is not a subclass of Options")
        return model

    def load(self, registered: Registered) -> type[Component[Any]]:
        """The component's class, for every kind but `model`, which has none.

        Raises `LatteError` if it cannot be imported or does not implement its kind's interface.
        """
        interface = _INTERFACES[registered.spec.kind]
        target = registered.spec.target
        loaded = _import(registered, target)
        if not (inspect.isclass(loaded) and issubclass(loaded, interface)):
            raise broken_component(registered, f"{target} is not a {interface.__name__}")
        missing = sorted(cast("frozenset[str]", getattr(loaded, "__abstractmethods__", ())))
        if missing:
            raise broken_component(registered, f"{target} does not define {', '.join(missing)}")
        return loaded

    def build(self, registered: Registered, options: Options, context: Context) -> Component[Any]:
        """The component itself. What its constructor raises is passed on, with its package."""
        component = self.load(registered)
        try:
            return component(options, context)
        except Exception as error:
            if not isinstance(error, LatteError):
                error.add_note(f"In plugin {registered.package}.")
            raise

    def model_folder(self, name: str, where: str | None = None) -> Path:
        """The open_clip model folder that a plugin provides as `plugin:NAME`."""
        registered = self.get("model", name, where)
        find_folder = _import(registered, registered.spec.target)
        try:
            folder = Path(find_folder())
        except LatteError:
            raise
        except Exception as error:
            raise broken_component(registered, one_line(error)) from error
        if not folder.is_dir():
            raise broken_component(registered, f"its folder {folder} does not exist")
        return folder


def _import(registered: Registered, target: str) -> Any:
    try:
        return import_target(target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if registered.distribution == BUILTIN_DISTRIBUTION:
            raise
        raise broken_component(registered, f"{target} failed with {one_line(error)}") from error
