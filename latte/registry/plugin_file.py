"""Components in one Python file that a person names on the command line, never a recipe.

The file is code and runs in this process. Each class in it that implements an interface becomes a
component; a file with the hook `latte_components` declares its components like a package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.io.files import digest
from latte.registry.discovery import (
    STRICT_HINT,
    check_declarations,
    declared_by,
    discover_plugins,
    is_strict,
    raise_plugin_error,
)
from latte.registry.registry import INTERFACES, set_plugin_file
from latte.registry.spec import API_VERSION, FILE_ENDING, ComponentSpec, Kind, Plugin

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_EXAMPLE = "class MineLoss(Loss[NoOptions])"


def load_plugin_file(path: Path) -> Plugin:
    """Import the file at `path`, and add its components to the registry of this process.

    Raises `LatteError` if there is no such file, if it raises an exception or defines no component,
    or if an installed module or component has the same name.
    """
    source = _source(path)
    installed = discover_plugins()
    _refuse_taken_module(path)
    module = _imported(path, source)
    try:
        specs = check_declarations(_declared(module)).specs
        _refuse_no_component(specs)
        _refuse_taken_names(specs, installed)
    except LatteError as error:
        del sys.modules[module.__name__]
        raise LatteError(error.what, where=str(path), hint=error.hint) from error
    version, place = digest(source)[:8], str(path.absolute())
    plugin = Plugin(module.__name__, path.name, version, "ok", specs=specs, file=place)
    set_plugin_file(plugin)
    return plugin


@contextlib.contextmanager
def forgetting_plugin_file() -> Iterator[None]:
    """Remove the plugin file that the block loads, and its module, when the block ends."""
    try:
        yield
    finally:
        if plugin := set_plugin_file(None):
            sys.modules.pop(plugin.key, None)


def component_name(class_name: str, kind: Kind) -> str:
    """Return the name of the component that a class defines.

    The name is the class's, in lower case with hyphens, without the word for its kind at the end:
    `WarmColoursLoss` is `warm-colours`.
    """
    endings = (INTERFACES[kind].__name__, kind.capitalize(), "Loader")
    ending = next((end for end in endings if class_name.endswith(end)), "")
    return _WORDS.sub("-", class_name.removesuffix(ending) or class_name).lower()


def _source(path: Path) -> bytes:
    if path.suffix != FILE_ENDING or not path.stem.isidentifier():
        raise LatteError(
            "a file with components has the name of a Python module",
            where=f"--plugin {path}",
            hint="as in --plugin my_loss.py",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if not path.exists() else error.strerror or "unreadable"
        hint = "name a Python file, as in --plugin my_loss.py"
        raise LatteError(reason, where=f"--plugin {path}", hint=hint) from error


def _refuse_taken_module(path: Path) -> None:
    """Raise `LatteError` if another module has the name of the file."""
    name = path.stem
    if name in sys.modules or not _is_module_of(path, importlib.util.find_spec(name)):
        raise LatteError(
            f'there is an installed module called "{name}"',
            where=str(path),
            hint=f"rename the file, as in my_{name}{FILE_ENDING}",
        )


def _is_module_of(path: Path, spec: ModuleSpec | None) -> bool:
    """Return True if Python would import the file itself, or nothing, by its name."""
    if spec is None:
        return True
    return spec.has_location and Path(spec.origin or "").resolve() == path.resolve()


def _imported(path: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path.absolute())
    assert spec is not None, "the file has the ending of Python files"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, str(path), "exec"), vars(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[module.__name__]
        if is_strict():
            raise_plugin_error(path.name, error)
        raise LatteError(
            error_line(error), where=_place(path, error), hint=f"correct the file. {STRICT_HINT}"
        ) from error
    return module


def _place(path: Path, error: BaseException) -> str:
    """Return file and line at which the file raised `error`."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _declared(module: ModuleType) -> Sequence[object]:
    if hasattr(module, "latte_components"):
        return declared_by(module)
    return [
        _spec(module, name, kind)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (kind := _kind_of(value)) is not None
        and (value.__module__, value.__qualname__) == (module.__name__, name)
    ]


def _kind_of(value: object) -> Kind | None:
    """Return the kind of component that a class implements; None for any other object."""
    if not inspect.isclass(value):
        return None
    kinds = (kind for kind, interface in INTERFACES.items() if issubclass(value, interface))
    return next(kinds, None)


def _spec(module: ModuleType, class_name: str, kind: Kind) -> ComponentSpec:
    text = (vars(module)[class_name].__dict__.get("__doc__") or "").strip()
    return ComponentSpec(
        kind=kind,
        name=component_name(class_name, kind),
        target=f"{module.__name__}:{class_name}",
        summary=text.partition("\n")[0] or f"a {kind} without a docstring",
        api_version=API_VERSION,
    )


def _refuse_no_component(specs: Sequence[ComponentSpec]) -> None:
    if not specs:
        raise LatteError(
            "it defines no component", hint=f"write a class of an interface, as in {_EXAMPLE}"
        )


def _refuse_taken_names(specs: Sequence[ComponentSpec], installed: Sequence[Plugin]) -> None:
    owners = {
        (spec.kind, spec.name): plugin.package
        for plugin in installed
        if plugin.status == "ok"
        for spec in plugin.specs
    }
    for spec in specs:
        if owner := owners.get((spec.kind, spec.name)):
            raise LatteError(
                f'{owner} has a {spec.kind} called "{spec.name}"',
                hint=f"give the class {spec.target.partition(':')[2]} another name",
            )
