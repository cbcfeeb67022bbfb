"""What a plugin's declarations must look like before they count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from latte.interfaces import LatteError
from latte.registry.spec import API_VERSION, KINDS, CommandSpec, ComponentSpec
from latte.registry.suggest import did_you_mean

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class IncompatiblePluginError(LatteError):
    """A plugin was made for another version of the plugin interface."""


def check_declarations(
    declared: Sequence[object],
) -> tuple[tuple[ComponentSpec, ...], tuple[CommandSpec, ...]]:
    """Components and commands, if all is right. Raises `LatteError` for the first mistake."""
    commands = [_check_command(spec) for spec in declared if isinstance(spec, CommandSpec)]
    specs = [_check_spec(spec) for spec in declared if not isinstance(spec, CommandSpec)]
    named = [f'components of kind {spec.kind} named "{spec.name}"' for spec in specs]
    named += [f'commands named "{command.name}"' for command in commands]
    for name, count in Counter(named).items():
        if count > 1:
            raise LatteError(f"it declares {count} {name}")
    return tuple(specs), tuple(commands)


def _check_spec(spec: object) -> ComponentSpec:
    if not isinstance(spec, ComponentSpec):
        raise LatteError(
            "a hook must return ComponentSpecs or CommandSpecs, "
            f"but one gave a {type(spec).__name__}"
        )
    _check_version(spec)
    if spec.kind not in KINDS:
        known = did_you_mean(str(spec.kind), KINDS) or f"Kinds: {', '.join(KINDS)}."
        raise LatteError(f'component "{spec.name}" has the unknown kind "{spec.kind}". {known}')
    targets = [target for target in (spec.target, spec.options) if target is not None]
    _check_words("component", spec.name, targets, spec.summary)
    return spec


def _check_command(spec: CommandSpec) -> CommandSpec:
    _check_version(spec)
    _check_words("command", spec.name, [spec.target], spec.summary)
    return spec


def _check_words(noun: str, name: str, targets: Sequence[str], summary: str) -> None:
    if not _NAME.fullmatch(name):
        raise LatteError(f'"{name}" is no {noun} name: lower-case letters, digits, - and _ only')
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise LatteError(
                f'{noun} "{name}" has the target "{target}", not "package.module:Name"'
            )
    if not summary.strip() or "\n" in summary:
        raise LatteError(f'the summary of {noun} "{name}" must be one line of text')


def _check_version(spec: ComponentSpec | CommandSpec) -> None:
    if spec.api_version == API_VERSION:
        return
    newer = spec.api_version > API_VERSION
    raise IncompatiblePluginError(
        f"made for version {spec.api_version} of the plugin interface, this latte has version "
        f"{API_VERSION}: upgrade {'latte-clip' if newer else 'the plugin'}"
    )
