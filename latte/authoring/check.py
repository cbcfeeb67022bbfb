"""Looking a whole plugin over before it is published: imports, options, dependencies, contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic.errors import PydanticInvalidForJsonSchema

from latte.interfaces import LatteError
from latte.registry.load import one_line
from latte.registry.plugin import BUILTIN_DISTRIBUTION, Plugin, Registered
from latte.registry.registry import Registry


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """The package, or `kind name` of a component."""
    check: str
    problem: str | None = None
    """None where all is well."""
    skipped: str | None = None
    """Why it was not looked at."""


def check_plugin(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    """Everything that can be told without running a component, in the order of what depends."""
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
        raise LatteError(one_line(error)) from error
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
    """What pip would say, and whether the package bounds the latte that it was made for."""
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
    return None if upper else "say up to which version, as in latte-clip>=0.1,<0.2"
