"""Find installed plugins and the components that they declare; report broken plugins.

This module reads entry points itself. Pluggy's loader would silently drop a second package with
the same entry-point name, and would stop at the first plugin that cannot be imported.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import platformdirs
import pluggy
from packaging.utils import canonicalize_name

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean, error_line, suggestion
from latte.io.files import digest, write_json
from latte.registry.spec import (
    API_VERSION,
    BUILTIN_DISTRIBUTION,
    ENTRY_POINT_GROUP,
    FILE_ENDING,
    KINDS,
    OPEN_GROUPS,
    ClassifierSpec,
    CommandSpec,
    ComponentSpec,
    Hooks,
    Plugin,
    Registered,
    Status,
)

_STRICT = "LATTE_STRICT_PLUGINS"
STRICT_HINT = f"Show the traceback: set {_STRICT}=1, and start the command again."
_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages, whose code changes only with their version."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class _Installed:
    entry_point: EntryPoint
    distribution: str
    version: str

    @property
    def builtin(self) -> bool:
        return self.distribution == BUILTIN_DISTRIBUTION

    def plugin(self, status: Status, **facts: Any) -> Plugin:
        """Return the package as a `Plugin` with the given status."""
        return Plugin(self.entry_point.name, self.distribution, self.version, status, **facts)


def discover_plugins(environment: Mapping[str, str] = os.environ) -> tuple[Plugin, ...]:
    """Return every installed plugin: latte itself first, then the others by package name.

    `LATTE_PLUGINS` lists the packages to load, separated by commas; an empty value loads only the
    built-in components. If it is not set, all plugins except disabled ones are loaded. With
    `LATTE_STRICT_PLUGINS=1`, errors of broken plugins are raised. Errors in latte's own components
    are always raised.

    Example:
        >>> from latte.api.plugins import discover_plugins
        >>> discover_plugins({"LATTE_PLUGINS": ""})[0].distribution
        'latte-clip'
    """
    installed = _installed()
    setting = environment.get("LATTE_PLUGINS")
    disabled_names = read_disabled(environment) if setting is None else frozenset()
    allowed_names = _allowed(installed, setting) - disabled_names
    plugins = []
    for package in installed:
        if package.builtin or package.distribution in allowed_names:
            plugins.append(_load(package, installed, strict=is_strict(environment)))
        elif package.distribution in disabled_names:
            hint = f"use it again: latte plugins enable {package.distribution}"
            plugins.append(package.plugin("disabled", error=hint))
        else:
            plugins.append(package.plugin("blocked", error="left out by LATTE_PLUGINS"))
    return tuple(plugins)


def is_strict(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if `LATTE_STRICT_PLUGINS=1`: plugin errors are raised, not only reported."""
    return environment.get(_STRICT) == "1"


def installed_distributions() -> tuple[str, ...]:
    """Return the names of packages that declare components, latte first, without importing them."""
    return tuple(dict.fromkeys(package.distribution for package in _installed()))


def plugin_packages() -> dict[str, str]:
    """Map each plugin's import package to its pip name and version, without importing it."""
    plugins = [package for package in _installed() if not package.builtin]
    return {
        package.entry_point.name: f"{package.distribution} {package.version}" for package in plugins
    }


def _installed() -> list[_Installed]:
    packages = []
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        fields = entry_point.dist.metadata.json if entry_point.dist else {}
        name = canonicalize_name(str(fields.get("name", entry_point.name)))
        packages.append(_Installed(entry_point, name, str(fields.get("version", "unknown"))))
    if not any(package.builtin for package in packages):
        raise LatteError(
            "latte's own components are not installed",
            hint=f"Install latte itself with pip: pip install {BUILTIN_DISTRIBUTION}",
        )
    return sorted(
        packages,
        key=lambda package: (not package.builtin, package.distribution, package.entry_point.name),
    )


def _allowed(installed: Sequence[_Installed], setting: str | None) -> set[str]:
    names = {package.distribution for package in installed}
    if setting is None:
        return names
    allowed_names = {canonicalize_name(name.strip()) for name in setting.split(",") if name.strip()}
    for missing_name in sorted(allowed_names - names):
        raise LatteError(
            f'no installed plugin is called "{missing_name}"',
            where="LATTE_PLUGINS",
            hint=suggestion(missing_name, sorted(names), "Installed"),
        )
    return allowed_names | {BUILTIN_DISTRIBUTION}


def _load(package: _Installed, installed: Sequence[_Installed], *, strict: bool) -> Plugin:
    declarations: tuple[object, ...] = ()
    try:
        _check_entry_point(package, installed)
        with contextlib.redirect_stdout(sys.stderr):
            declarations = declared_by(package.entry_point.load())
        declared = check_declarations(declarations)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if strict or package.builtin:
            raise_plugin_error(f"{package.distribution} {package.version}", error)
        components = tuple(spec for spec in declarations if isinstance(spec, ComponentSpec))
        if isinstance(error, LatteError):
            is_incompatible = isinstance(error, IncompatiblePluginError)
            status: Status = "incompatible" if is_incompatible else "broken"
            return package.plugin(status, error=error.what, specs=components)
        what, detail = error_line(error), "".join(traceback.format_exception(error))
        if isinstance(error, ImportError) and error.name in ("latte.api", "latte.testing"):
            what += (
                f". This latte has version {API_VERSION} of the plugin interface; "
                "if the plugin was written for another version, upgrade the plugin or latte-clip"
            )
        return package.plugin("broken", error=what, detail=detail, specs=components)
    return package.plugin("ok", **vars(declared))


def raise_plugin_error(package: str, error: BaseException) -> NoReturn:
    """Raise `error` with the plugin's name added; `SystemExit` becomes a `RuntimeError`."""
    if isinstance(error, LatteError):
        raise LatteError(error.what, where=f"plugin {package}", hint=error.hint) from error
    if isinstance(error, Exception):
        error.add_note(f"In plugin {package}.")
        raise error
    runtime_error = RuntimeError(f"a plugin raised {error_line(error)}")
    runtime_error.add_note(f"In plugin {package}.")
    raise runtime_error from error


def _check_entry_point(package: _Installed, installed: Sequence[_Installed]) -> None:
    """Raise `LatteError` unless the entry point is valid and unique.

    An entry point must have the name of the import package that it loads. No other distribution
    may use this name, and the distribution must have no other entry point for latte.
    """
    key, module = package.entry_point.name, package.entry_point.module
    if module != key and not module.startswith(f"{key}."):
        raise LatteError(
            f'its entry point must be called "{module.partition(".")[0]}", like the import '
            f'package that it loads, not "{key}"'
        )
    other_packages = [other_package for other_package in installed if other_package is not package]
    if any(other_package.distribution == package.distribution for other_package in other_packages):
        raise LatteError(f"it declares more than one entry point in {ENTRY_POINT_GROUP}")
    rivals = [
        other_package.distribution
        for other_package in other_packages
        if other_package.entry_point.name == key
    ]
    if rivals and not package.builtin:
        raise LatteError(
            f'{" and ".join(rivals)} also provides the import package "{key}": uninstall one'
        )


def declared_by(plugin: ModuleType) -> tuple[object, ...]:
    """Return what the hooks of a module declare. Raises `LatteError` if it has no hook."""
    manager = pluggy.PluginManager("latte")
    manager.add_hookspecs(Hooks)
    hook_names = [hook for hook in vars(Hooks) if not hook.startswith("_")]
    manager.register(plugin)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        callers = manager.get_hookcallers(plugin) or []
        unknown_hook = next(caller.name for caller in callers if not caller.has_spec())
        hint = did_you_mean(unknown_hook, hook_names) or f"Hooks: {', '.join(hook_names)}."
        raise LatteError(f"latte has no hook {unknown_hook}(). {hint}") from error
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise LatteError(f"it implements no hook: mark {hook_names[0]}() with @hookimpl")
    declarations: list[object] = []
    for caller in callers:
        spec_lists = caller()
        if not spec_lists:
            raise LatteError(f"its {caller.name}() returned None, not a list of specs")
        declarations += [spec for specs in spec_lists for spec in specs]
    return tuple(declarations)


class IncompatiblePluginError(LatteError):
    """Error for a plugin that is made for another version of the plugin interface."""


@dataclass(frozen=True)
class Declared:
    """Declarations of a plugin, by kind."""

    specs: tuple[ComponentSpec, ...]
    commands: tuple[CommandSpec, ...]
    classifiers: tuple[ClassifierSpec, ...]


def check_declarations(declarations: Sequence[object]) -> Declared:
    """Return what is declared, by kind. Raises `LatteError` at the first mistake."""
    commands = [spec for spec in declarations if isinstance(spec, CommandSpec)]
    classifiers = [spec for spec in declarations if isinstance(spec, ClassifierSpec)]
    others = [spec for spec in declarations if not isinstance(spec, CommandSpec | ClassifierSpec)]
    specs = [_component(spec) for spec in others]
    for command in commands:
        _check_version(command)
        _check_words("command", _in_group(command), command.target, command.summary)
    for classifier in classifiers:
        _check_version(classifier)
        _check_words("classifier", classifier.name, classifier.target, classifier.summary)
    descriptions = [f'components of kind {spec.kind} named "{spec.name}"' for spec in specs]
    descriptions += [f'commands named "{command.name}"' for command in commands]
    descriptions += [f'classifiers named "{classifier.name}"' for classifier in classifiers]
    for name, count in Counter(descriptions).items():
        if count > 1:
            raise LatteError(f"it declares {count} {name}")
    return Declared(tuple(specs), tuple(commands), tuple(classifiers))


def _component(spec: object) -> ComponentSpec:
    if not isinstance(spec, ComponentSpec):
        raise LatteError(
            "a hook must return ComponentSpecs, CommandSpecs or ClassifierSpecs, "
            f"but one gave a {type(spec).__name__}"
        )
    _check_version(spec)
    if spec.kind not in KINDS:
        hint = did_you_mean(str(spec.kind), KINDS) or f"Kinds: {', '.join(KINDS)}."
        raise LatteError(f'component "{spec.name}" has the unknown kind "{spec.kind}". {hint}')
    _check_words("component", spec.name, spec.target, spec.summary)
    return spec


def _in_group(command: CommandSpec) -> str:
    """Return the command's name in its group. Raises `LatteError` if plugins cannot add to it."""
    group, space, name = command.name.partition(" ")
    if space and group not in OPEN_GROUPS:
        raise LatteError(
            f'command "{command.name}": plugins cannot add to "latte {group}". '
            f"Groups: {', '.join(OPEN_GROUPS)}."
        )
    return name or group


def _check_words(noun: str, name: str, target: str, summary: str) -> None:
    if not _NAME.fullmatch(name):
        raise LatteError(f'"{name}" is no {noun} name: lower-case letters, digits, - and _ only')
    if not _TARGET.fullmatch(target):
        raise LatteError(f'{noun} "{name}" has the target "{target}", not "package.module:Name"')
    if not summary.strip() or "\n" in summary:
        raise LatteError(f'the summary of {noun} "{name}" must be one line of text')


def _check_version(spec: ComponentSpec | CommandSpec | ClassifierSpec) -> None:
    if spec.api_version == API_VERSION:
        return
    newer = spec.api_version > API_VERSION
    raise IncompatiblePluginError(
        f"made for version {spec.api_version} of the plugin interface, this latte has version "
        f"{API_VERSION}: upgrade {'latte-clip' if newer else 'the plugin'}"
    )


def import_target(target: str) -> Any:
    """Return the object that a text such as `"package.module:Name"` names.

    Output of a module during its import goes to stderr, because stdout is for results.
    """
    module, _, name = target.partition(":")
    with contextlib.redirect_stdout(sys.stderr):
        return getattr(importlib.import_module(module), name)


def plugin_code(registered: Registered) -> str | None:
    """Return a digest of a plugin's Python files; None if the plugin is in site-packages.

    A plugin in editable mode or on PYTHONPATH can change without a new version. The files are read
    once per process, because their code is imported only once. The version of a plugin that is one
    file is such a digest.
    """
    if registered.distribution == BUILTIN_DISTRIBUTION:
        return None
    if registered.distribution.endswith(FILE_ENDING):
        return registered.version
    try:
        module_spec = importlib.util.find_spec(
            registered.spec.target.partition(":")[0].partition(".")[0]
        )
    except (ImportError, ValueError):  # a module without a spec
        return None
    places = (
        (module_spec.submodule_search_locations or [module_spec.origin or ""])
        if module_spec
        else []
    )
    editable_places = (place for place in places if place and not _INSTALLED & {*Path(place).parts})
    return _digest_of_code(tuple(editable_places))


@functools.cache
def _digest_of_code(places: tuple[str, ...]) -> str | None:
    contents: list[str | bytes] = []
    for place in map(Path, places):
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if path.is_file():  # an editor's lock can be a link to nothing
                contents += [path.relative_to(place).as_posix(), path.read_bytes()]
    return digest(*contents) if contents else None


def disabled_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the file that lists disabled plugins.

    The file is in the folder `LATTE_CONFIG`, or in the user's configuration folder.
    """
    config_folder = environment.get("LATTE_CONFIG")
    folder = (
        Path(config_folder).expanduser()
        if config_folder
        else Path(platformdirs.user_config_dir("latte"))
    )
    return folder / "plugins.json"


def read_disabled(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the normalised names of disabled packages. Raises `LatteError` for a damaged file."""
    path = disabled_file(environment)
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["disabled"]
        if not isinstance(names, list):
            raise TypeError("disabled is no list")
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LatteError(
            f"this file cannot be read ({error})",
            where=str(path),
            hint="remove it: all installed plugins are then used",
        ) from error
    return frozenset(str(name) for name in names)


def write_disabled(names: frozenset[str]) -> Path:
    """Store `names` as the complete set of disabled packages; return the path of the file."""
    path = disabled_file()
    write_json(path, {"disabled": sorted(names)})
    return path
