"""`latte plugins check` skips contracts that only a package's own tests can run."""

from __future__ import annotations

from latte_author.kit.check import run_contracts

from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from tests.helpers.recorded import RecordedProgress


def test_contract_of_a_describer_with_options_is_skipped() -> None:
    """A correct describer must not fail the check of its package."""
    plugins = discover_plugins()
    (plugin,) = (plugin for plugin in plugins if plugin.distribution == "latte-openai")
    (finding,) = run_contracts(Registry(plugins), plugin, RecordedProgress())
    assert finding.problem is None
    assert finding.skipped == (
        "latte does not know which of its options change texts: name its own tests with --tests DIR"
    )
