"""Check a plugin before it is published: imports, options, dependencies, contract tests."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic.errors import PydanticInvalidForJsonSchema

from latte.interfaces import LatteError, NoOptions, Progress
from latte.interfaces.errors import error_line
from latte.plugin_kit.write import KIND_FACTS
from latte.registry.plugin import BUILTIN_DISTRIBUTION, Plugin, Registered
from latte.registry.registry import Registry

_OPTIONS = ("-v", "--color=no", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=")
_COLLECTED = re.compile(r"collected (\d+) items?")
_FINISHED = re.compile(r" \[ *\d+%\]$")
"""End of the line that pytest prints after each test."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    """The package, or `kind name` of a component."""
    check: str
    problem: str | None = None
    """Reason of the failure; None if the check passed."""
    skipped: str | None = None
    """Reason why the check was not made."""


def check_plugin(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    """Yield results of checks that run no component: discovery, dependencies, imports, options."""
    problem = None if plugin.status == "ok" else f"{plugin.status}: {plugin.error}"
    yield Finding(plugin.package, "is found, and made for this plugin interface", problem)
    yield from _dependencies(plugin.distribution)
    for one in registry.all():
        if one.distribution == plugin.distribution:
            yield from _component(registry, one)


def _component(registry: Registry, one: Registered) -> Iterator[Finding]:
    subject = f"{one.spec.kind} {one.spec.name}"
    if one.spec.kind == "model":
        yield _finding(subject, "its folder exists", lambda: registry.model_folder(one.spec.name))
        return
    yield _finding(subject, "is imported, and complete", lambda: registry.load(one))
    yield _finding(subject, "has options with a JSON schema", lambda: _schema(registry, one))


def _schema(registry: Registry, one: Registered) -> None:
    model = registry.options_model(one)
    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise LatteError(error_line(error)) from error
    silent = [
        name for name, field in model.model_fields.items() if not (field.description or "").strip()
    ]
    if silent:
        raise LatteError(f"no description= for {', '.join(silent)}")
    if schema.get("additionalProperties", True):
        raise LatteError(f'{model.__name__} must keep extra="forbid" of latte.api.Options')


def _finding(subject: str, check: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except LatteError as error:
        return Finding(subject, check, error.what)
    return Finding(subject, check)


def _dependencies(name: str) -> Iterator[Finding]:
    """Check that dependencies are installed, and that latte's version has an upper bound."""
    requirements = [Requirement(text) for text in distribution(name).requires or ()]
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    problems = [problem for one in wanted if (problem := _conflict(one))]
    yield Finding(name, "its dependencies are installed", "; ".join(problems) or None)
    if name != BUILTIN_DISTRIBUTION:
        yield Finding(name, "bounds the versions of latte-clip", _unbounded(wanted))


def _conflict(requirement: Requirement) -> str | None:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name} {installed} is installed, {requirement.specifier} is asked for"


def _unbounded(requirements: Sequence[Requirement]) -> str | None:
    latte = [one for one in requirements if canonicalize_name(one.name) == BUILTIN_DISTRIBUTION]
    if not latte:
        return f'add "{BUILTIN_DISTRIBUTION}>=..." to its dependencies'
    operators = {part.operator for one in latte for part in one.specifier}
    upper = operators & {"<", "<=", "==", "~="}
    return None if upper else "give an upper bound, as in latte-clip>=0.1,<0.2"


def run_contracts(registry: Registry, plugin: Plugin, progress: Progress) -> Iterator[Finding]:
    """Yield the result of the contract tests of each component.

    A component with required options is skipped.
    """
    needs_pytest()
    for one in registry.all():
        if one.distribution == plugin.distribution:
            yield _contract(registry, one, progress)


def run_tests(plugin: Plugin, folder: Path, progress: Progress) -> Finding:
    """Run the plugin's tests in `folder`. Raises `LatteError` if there is no such folder."""
    if not folder.is_dir():
        raise LatteError("there is no such folder of tests", where=str(folder))
    needs_pytest()
    problem = _pytest([str(folder)], str(folder), progress)
    return Finding(plugin.package, f"passes the tests in {folder}", problem)


def needs_pytest() -> None:
    """Raise `LatteError` if pytest, which is not a dependency of latte, is not installed."""
    if importlib.util.find_spec("pytest") is None:
        raise LatteError("contract tests need pytest", hint="pip install pytest, or --no-contract")


def _contract(registry: Registry, one: Registered, progress: Progress) -> Finding:
    subject, facts = f"{one.spec.kind} {one.spec.name}", KIND_FACTS[one.spec.kind]
    check = f"keeps the {facts.contract}"
    model = NoOptions if one.spec.kind == "model" else registry.options_model(one)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if required:
        why = f"it requires {', '.join(required)}: name its own tests with --tests DIR"
        return Finding(subject, check, skipped=why)
    name = one.spec.name if one.spec.kind == "model" else one.full_name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_contract.py"
        file.write_text(
            f"from latte.testing import {facts.contract}\n\n\n"
            f"class TestComponent({facts.contract}):\n    component = {name!r}\n",
            encoding="utf-8",
        )
        problem = _pytest(["--rootdir", folder, str(file)], subject, progress)
        return Finding(subject, check, problem)


def _pytest(arguments: Sequence[str], name: str, progress: Progress) -> str | None:
    """Run pytest as the task `name`; return None if it passes, else its first errors or output."""
    command = [sys.executable, "-u", "-m", "pytest", *_OPTIONS, *arguments]
    output: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = _recorded(process.stdout or (), output)
        counts = (_COLLECTED.search(line) for line in lines)
        total = next((int(count[1]) for count in counts if count), 0)
        with progress.task(name, total, "tests") as task:
            for line in lines:
                if _FINISHED.search(line):
                    task.advance()
    if process.returncode == 0:
        return None
    errors = re.findall(r"^E +(.+)$", "".join(output), flags=re.MULTILINE)
    return "\n".join(dict.fromkeys(errors[:5])) or "".join(output).strip()[-400:]


def _recorded(lines: Iterable[str], output: list[str]) -> Iterator[str]:
    """Yield lines as they arrive, and append them to `output`."""
    for line in lines:
        output.append(line)
        yield line
