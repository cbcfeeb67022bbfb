"""Check a plugin before it is published: imports, options, dependencies and contract tests."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic.errors import PydanticInvalidForJsonSchema

from latte.api import Kind, LatteError, NoOptions, Options, Progress, error_line
from latte.api.plugins import BUILTIN_DISTRIBUTION, Plugin, Registered, Registry
from latte_author.kit.write import contract_of

_OPTIONS = ("-v", "--color=no", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=")
_FINISHED = re.compile(r" \[ *\d+%\]$")
"""End of the line that pytest prints after each test."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    """Checked object: the package, or a component as `KIND NAME`."""
    check: str
    problem: str | None = None
    """Reason of the failure; None if the check passed."""
    skipped: str | None = None
    """Reason why the check was not made."""


def check_plugin(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    """Yield the results of checks of discovery, dependencies, imports and options."""
    problem = None if plugin.status == "ok" else f"{plugin.status}: {plugin.error}"
    yield Finding(plugin.package, "is found, and made for this plugin interface", problem)
    yield from _dependencies(plugin.distribution)
    for component in _components(registry, plugin):
        subject, name = f"{component.spec.kind} {component.spec.name}", component.spec.name
        if component.spec.kind == "model":
            yield _finding(subject, "its folder exists", partial(registry.model_folder, name))
        else:
            yield _finding(subject, "is imported, and complete", partial(registry.load, component))
            check = partial(_check_options, registry, component)
            yield _finding(subject, "has options with a JSON schema", check)


def _components(registry: Registry, plugin: Plugin) -> list[Registered]:
    return [
        component for component in registry.all() if component.distribution == plugin.distribution
    ]


def _check_options(registry: Registry, component: Registered) -> None:
    model = registry.options_model(component)
    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise LatteError(error_line(error)) from error
    fields = model.model_fields.items()
    undescribed_options = [name for name, field in fields if not (field.description or "").strip()]
    if undescribed_options:
        raise LatteError(f"no description= for {', '.join(undescribed_options)}")
    if schema.get("additionalProperties", True):
        raise LatteError(f'{model.__name__} must keep extra="forbid" of latte.api.Options')


def _finding(subject: str, check: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except LatteError as error:
        return Finding(subject, check, error.what)
    return Finding(subject, check)


def _dependencies(name: str) -> Iterator[Finding]:
    requirements = [Requirement(text) for text in distribution(name).requires or ()]
    active_requirements = [
        requirement
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate()
    ]
    problems = []
    for requirement in active_requirements:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement.name} is not installed")
        else:
            if not requirement.specifier.contains(installed, prereleases=True):
                problems.append(
                    f"{requirement.name} {installed} is installed, "
                    f"{requirement.specifier} is asked for"
                )
    yield Finding(name, "its dependencies are installed", "; ".join(problems) or None)
    if name == BUILTIN_DISTRIBUTION:
        return
    latte_requirements = [
        requirement
        for requirement in active_requirements
        if canonicalize_name(requirement.name) == BUILTIN_DISTRIBUTION
    ]
    operators = {
        specifier.operator
        for requirement in latte_requirements
        for specifier in requirement.specifier
    }
    problem = None
    if not latte_requirements:
        problem = f'add "{BUILTIN_DISTRIBUTION}>=0.1" to its dependencies'
    elif not operators & {">=", "==", "~="}:
        problem = f"give a lower bound, as in {BUILTIN_DISTRIBUTION}>=0.1"
    yield Finding(name, "names the oldest latte-clip that it needs", problem)


def run_contracts(registry: Registry, plugin: Plugin, progress: Progress) -> Iterator[Finding]:
    """Run the contract tests of each component, and yield the results.

    Components whose options only their own tests can set are skipped.
    """
    for component in _components(registry, plugin):
        yield _contract(registry, component, progress)


def run_tests(plugin: Plugin, folder: Path, progress: Progress) -> Finding:
    """Run the plugin's tests in `folder`. Raises `LatteError` if there is no such folder."""
    if not folder.is_dir():
        raise LatteError("there is no such folder of tests", where=str(folder))
    problem = _pytest([str(folder)], str(folder), progress)
    return Finding(plugin.package, f"passes the tests in {folder}", problem)


def _contract(registry: Registry, component: Registered, progress: Progress) -> Finding:
    subject = f"{component.spec.kind} {component.spec.name}"
    contract = contract_of(component.spec.kind)
    check = f"keeps the {contract}"
    model = NoOptions if component.spec.kind == "model" else registry.options_model(component)
    if reason := _needs_own_tests(component.spec.kind, model):
        return Finding(subject, check, skipped=f"{reason}: name its own tests with --tests DIR")
    name = component.spec.name if component.spec.kind == "model" else component.full_name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_contract.py"
        file.write_text(
            f"from latte_author.testing import {contract}\n\n\n"
            f"class TestComponent({contract}):\n    component = {name!r}\n",
            encoding="utf-8",
        )
        problem = _pytest(["--rootdir", folder, str(file)], subject, progress)
        return Finding(subject, check, problem)


def _needs_own_tests(kind: Kind, options: type[Options]) -> str | None:
    """Return why only a package's own tests can test a component; None if latte can do it, too."""
    required = [name for name, field in options.model_fields.items() if field.is_required()]
    if required:
        return f"it requires {', '.join(required)}"
    if kind == "describer" and options.model_fields:
        return "latte does not know which of its options change texts"
    return None


def _pytest(arguments: Sequence[str], name: str, progress: Progress) -> str | None:
    """Run pytest. Return None if all tests pass, else the first errors or the end of the output."""
    command = [sys.executable, "-u", "-m", "pytest", *_OPTIONS, *arguments]
    output: list[str] = []
    pipe = subprocess.PIPE
    with (
        progress.task(name, None, "tests") as task,
        subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process,
    ):
        for line in process.stdout or ():
            output.append(line)
            if _FINISHED.search(line):
                task.advance()
    if process.returncode == 0:
        return None
    errors = re.findall(r"^E +(.+)$", "".join(output), flags=re.MULTILINE)
    return "\n".join(dict.fromkeys(errors[:5])) or "".join(output).strip()[-400:]
