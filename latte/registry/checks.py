"""What a plugin's declarations must look like before they count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from latte.interfaces import LatteError
from latte.registry.spec import API_VERSION, KINDS, ComponentSpec
from latte.registry.suggest import did_you_mean

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class IncompatiblePluginError(LatteError):
    """A plugin was made for another version of the plugin interface."""


def check_declarations(declared: Sequence[object]) -> tuple[ComponentSpec, ...]:
    """`declared`, if all of it is right. Raises `LatteError` for the first mistake."""
    specs = tuple(_check_spec(spec) for spec in declared)
    counts = Counter((spec.kind, spec.name) for spec in specs)
    (kind, name), count = max(counts.items(), key=lambda item: item[1], default=(("", ""), 0))
    if count > 1:
        raise LatteError(f'it declares {count} components of kind {kind} named "{name}"')
    return specs


def _check_spec(spec: object) -> ComponentSpec:
    if not isinstance(spec, ComponentSpec):
        raise LatteError(
            f"latte_components() must return ComponentSpecs, but gave a {type(spec).__name__}"
        )
    _check_version(spec)
    if spec.kind not in KINDS:
        known = did_you_mean(str(spec.kind), KINDS) or f"Kinds: {', '.join(KINDS)}."
        raise LatteError(f'component "{spec.name}" has the unknown kind "{spec.kind}". {known}')
    if not _NAME.fullmatch(spec.name):
        raise LatteError(
            f'"{spec.name}" is no component name: lower-case letters, digits, - and _ only'
        )
    for target in (spec.target, spec.options):
        if target is not None and not _TARGET.fullmatch(target):
            raise LatteError(
                f'component "{spec.name}" has the target "{target}", not "package.module:Name"'
            )
    if not spec.summary.strip() or "\n" in spec.summary:
        raise LatteError(f'the summary of component "{spec.name}" must be one line of text')
    return spec


def _check_version(spec: ComponentSpec) -> None:
    if spec.api_version == API_VERSION:
        return
    newer = spec.api_version > API_VERSION
    raise IncompatiblePluginError(
        f"made for version {spec.api_version} of the plugin interface, this latte has version "
        f"{API_VERSION}: upgrade {'latte-clip' if newer else 'the plugin'}"
    )
