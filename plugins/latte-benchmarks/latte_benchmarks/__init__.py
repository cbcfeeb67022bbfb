"""Ten published datasets of LatteCLIP's experiments, and the command `latte datasets`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import CommandSpec, ComponentSpec, hookimpl
from latte_benchmarks.facts import all_facts


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return one dataset component per published dataset."""
    return [
        ComponentSpec(
            kind="dataset",
            name=facts.name,
            target=f"latte_benchmarks.dataset:{facts.target}",
            summary=f"{facts.title}: {facts.classes} classes, in CoOp's layout and splits",
            api_version=2,
        )
        for facts in all_facts().values()
    ]


@hookimpl
def latte_commands() -> Iterable[CommandSpec]:
    """Return the command `latte datasets`."""
    summary = "lists, shows, checks and downloads the published datasets that recipes name"
    return [CommandSpec("datasets", "latte_benchmarks.commands:datasets", summary, api_version=2)]
