"""Registry of installed components: find them by kind and name, and import them on first use."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from packaging.utils import canonicalize_name, is_normalized_name

from latte import interfaces
from latte.interfaces import Component, Context, LatteError, NoOptions, Options
from latte.interfaces.errors import error_line, nearest
from latte.interfaces.provider import note_provider
from latte.registry import replaced
from latte.registry.discovery import (
    STRICT_HINT,
    discover_plugins,
    import_target,
    is_strict,
    raise_plugin_error,
)
from latte.registry.spec import (
    BUILTIN_DISTRIBUTION,
    FILE_ENDING,
    KINDS,
    Kind,
    Plugin,
    Registered,
)

_log = logging.getLogger("latte.plugins")

INTERFACES: dict[Kind, type[Component[Any]]] = {
    "backbone": interfaces.BackboneLoader,
    "encoder": interfaces.EncoderLoader,
    "dataset": interfaces.Dataset,
    "guard": interfaces.Guard,
    "describer": interfaces.Describer,
    "description": interfaces.DescriptionType,
    "gate": interfaces.Gate,
    "labeler": interfaces.PseudoLabeler,
    "prototypes": interfaces.PrototypeAggregator,
    "loss": interfaces.Loss,
    "trainable": interfaces.Trainable,
    "augmentation": interfaces.ImageAugmentation,
    "reporter": interfaces.Reporter,
}
"""Base class of the components of each kind; those of kind `model` are functions."""


_files: list[Plugin] = []
"""The plugin file of this process, if there is one."""


def set_plugin_file(plugin: Plugin | None) -> Plugin | None:
    """Make `plugin` the plugin file of this process, or none; return the earlier one."""
    earlier = plugin_file()
    if plugin is not None or earlier is not None:
        _files[:] = [plugin] if plugin else []
        load_registry.cache_clear()
    return earlier


def plugin_file() -> Plugin | None:
    """Return the plugin file of this process; None if there is none."""
    return next(iter(_files), None)


@functools.cache
def load_registry() -> Registry:
    """Return the registry of this process; the first call logs a warning per broken plugin.

    Example:
        >>> from latte.api.plugins import load_registry
        >>> load_registry().get("loss", "contrastive").spec.kind
        'loss'
    """
    registry = Registry((*discover_plugins(), *_files))
    for plugin in registry.plugins:
        if plugin.failed:
            hint = f". {STRICT_HINT}" if plugin.detail else ""
            _log.warning("plugin %s is %s: %s%s", plugin.package, plugin.status, plugin.error, hint)
    return registry


class Registry:
    """Installed components, by kind and name.

    Example:
        >>> from latte.api.plugins import Registry, discover_plugins
        >>> registry = Registry(discover_plugins())
        >>> registry.load(registry.get("loss", "contrastive")).__name__
        'ContrastiveLoss'
    """

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins: tuple[Plugin, ...] = tuple(plugins)
        components = [
            Registered(spec, plugin.distribution, plugin.version)
            for plugin in plugins
            if plugin.status == "ok"
            for spec in plugin.specs
        ]
        self._components = sorted(
            components, key=lambda component: KINDS.index(component.spec.kind)
        )

    @property
    def plugin_file(self) -> Plugin | None:
        """The plugin that is one file, which a person named on the command line."""
        return next((plugin for plugin in self.plugins if plugin.file), None)

    def all(self, kind: Kind | None = None) -> list[Registered]:
        """Return the components (of one `kind`, if given), sorted by kind, built-in ones first."""
        return [component for component in self._components if kind in (None, component.spec.kind)]

    def get(self, kind: Kind, name: str, where: str | None = None) -> Registered:
        """Return the component with a short name, or with the full name `distribution/name`.

        Raises `LatteError` unless exactly one package provides it; the error names `where`.
        """
        components = self.all(kind)
        distribution, slash, short_name = name.rpartition("/")
        providers = [component for component in components if component.spec.name == short_name]
        if slash:
            providers = [
                component
                for component in providers
                if component.distribution in (distribution, canonicalize_name(distribution))
            ]
        if len(providers) == 1:
            return providers[0]
        if providers:
            packages = " and ".join(component.package for component in providers)
            what = f'{kind} "{name}" is provided by {packages}'
            choices = [f'"{component.full_name}"' for component in providers]
            hint = f"Write {' or '.join(choices)}."
        elif replacement := replaced.COMPONENTS.get((kind, short_name)):
            what = f'the {kind} "{short_name}" was replaced by "{replacement}"'
            hint = f'Write "{replacement}".'
        else:
            what = f'no {kind} named "{name}" is installed'
            by_name = {component.full_name: component for component in components} | {
                component.spec.name: component for component in components
            }
            match = nearest(name, by_name)
            hints = [f'Did you mean "{match}" ({by_name[match].package})?'] if match else []
            hints += _absent(kind, name, self.plugins)
            hints += _not_installed(distribution, self.plugins)
            hint = "\n  ".join([*hints, f"All names: latte components {kind}"])
        raise LatteError(what, where=where, hint=hint)

    def options_model(self, registered: Registered) -> type[Options]:
        """Import the component, and return the pydantic class of its options.

        Raises `LatteError` if the component cannot be used.
        """
        if registered.spec.kind == "model":
            return NoOptions
        return self.load(registered).options_type

    def load(self, registered: Registered) -> type[Component[Any]]:
        """Import and return the component's class; components of kind `model` have no class.

        Raises `LatteError` if the import fails, or the class does not implement its interface.
        """
        interface = INTERFACES[registered.spec.kind]
        target = registered.spec.target
        component_class = _import(registered, target)
        if not (inspect.isclass(component_class) and issubclass(component_class, interface)):
            raise broken_component(registered, f"{target} is not a {interface.__name__}")
        missing_methods = sorted(
            cast("frozenset[str]", getattr(component_class, "__abstractmethods__", ()))
        )
        if missing_methods:
            raise broken_component(
                registered, f"{target} does not define {', '.join(missing_methods)}"
            )
        return component_class

    def build(self, registered: Registered, options: Options, context: Context) -> Component[Any]:
        """Create the component, and note its package for errors about what it returns.

        Errors except `LatteError` get a note with the package's name.
        """
        component_class = self.load(registered)
        try:
            component = component_class(options, context)
        except Exception as error:
            if not isinstance(error, LatteError):
                error.add_note(f"In plugin {registered.package}.")
            raise
        note_provider(component, registered.provider)
        return component

    def model_folder(self, name: str) -> Path:
        """Return the folder of the model `plugin:NAME`. Raises `LatteError` if there is none."""
        registered = self.get("model", name)
        find_folder = _import(registered, registered.spec.target)
        try:
            folder = Path(find_folder())
        except LatteError:
            raise
        except Exception as error:
            raise failed_component(registered, error_line(error), error) from error
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
        cause = f"{target} failed with {error_line(error)}"
        raise failed_component(registered, cause, error) from error


def broken_component(registered: Registered, cause: str) -> LatteError:
    """Return the error for a declared component that cannot be used."""
    spec, name = registered.spec, registered.distribution
    what = f'{spec.kind} "{spec.name}" of {registered.package} cannot be used: {cause}'
    of_package = f"Upgrade the package {name}, or report it to its authors."
    hint = f"Correct the file {name}." if name.endswith(FILE_ENDING) else of_package
    return LatteError(what, hint=hint)


def failed_component(registered: Registered, cause: str, error: BaseException) -> LatteError:
    """Return the error for a component whose code raised `error`; in strict mode, raise `error`."""
    if is_strict():
        raise_plugin_error(registered.package, error)
    broken_error = broken_component(registered, cause)
    return LatteError(broken_error.what, hint=f"{broken_error.hint}\n  {STRICT_HINT}")


def _not_installed(distribution: str, plugins: Sequence[Plugin]) -> list[str]:
    """Return a hint on how to get the package, or the file, of a component."""
    if distribution.endswith(FILE_ENDING):
        return [
            f"It is in the file {distribution}, which `latte run`, `check` and `describe` load: "
            f"--plugin {distribution}"
        ]
    package = canonicalize_name(distribution)
    if package in {plugin.distribution for plugin in plugins} or not is_normalized_name(package):
        return []
    return [f'The package {package} is not installed: pip install "{package}"']


def _absent(kind: Kind, name: str, plugins: Sequence[Plugin]) -> list[str]:
    """Return hints about plugins that are not loaded and may declare the component `name`."""
    unloaded_plugins = [plugin for plugin in plugins if plugin.status != "ok"]
    declaring_plugins = [
        plugin
        for plugin in unloaded_plugins
        if name.startswith(f"{plugin.distribution}/")
        or any((spec.kind, spec.name) == (kind, name) for spec in plugin.specs)
    ]
    likely_plugins = declaring_plugins or [
        plugin for plugin in unloaded_plugins if not plugin.specs
    ]
    start = "It comes from" if declaring_plugins else "It may come from"
    return [
        f"{start} {plugin.package}, which is {plugin.status}: {plugin.error} (latte plugins)"
        for plugin in likely_plugins
    ]
