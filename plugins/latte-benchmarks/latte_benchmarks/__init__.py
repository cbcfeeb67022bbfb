"""Commands on many runs, and the ten published datasets of LatteCLIP's experiments."""

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
    """Return the commands of this plugin."""
    return [
        CommandSpec(name, f"latte_benchmarks.{target}", summary, api_version=2)
        for name, target, summary in (
            (
                "compare",
                "research:compare",
                "Show finished runs in one table, averaged over seeds.",
            ),
            (
                "sweep",
                "research:sweep",
                "Run recipes with several seeds and values, then compare them.",
            ),
            (
                "reproduce",
                "research:reproduce",
                "Repeat the experiments of a published table, and compare.",
            ),
            (
                "field",
                "field:field",
                "Compare methods without labels on your labelled images, on one page.",
            ),
            ("datasets", "commands:datasets", "List, check and download the published datasets."),
        )
    ]
