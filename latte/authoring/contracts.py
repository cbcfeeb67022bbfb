"""Running the contract suite on a plugin's components, or the plugin's own tests, with pytest."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from latte.authoring.check import Finding
from latte.authoring.write import KIND_FACTS
from latte.interfaces import LatteError, Options
from latte.registry.plugin import Plugin, Registered
from latte.registry.registry import Registry

_OPTIONS = ("-q", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=")


def run_contracts(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    """Each component with its default options; one that needs some is left to its own tests."""
    needs_pytest()
    for one in registry.all():
        if one.distribution == plugin.distribution:
            yield _contract(registry, one)


def run_tests(plugin: Plugin, folder: Path) -> Finding:
    """The plugin's own tests in `folder`. Raises `LatteError` if there is no such folder."""
    if not folder.is_dir():
        raise LatteError("there is no such folder of tests", where=str(folder))
    needs_pytest()
    return Finding(plugin.package, f"passes the tests in {folder}", _pytest([str(folder)]))


def needs_pytest() -> None:
    """Raise `LatteError` where pytest is not installed: latte itself does without."""
    if importlib.util.find_spec("pytest") is None:
        raise LatteError("contract tests need pytest", hint="pip install pytest, or --no-contract")


def _contract(registry: Registry, one: Registered) -> Finding:
    subject, facts = f"{one.spec.kind} {one.spec.name}", KIND_FACTS[one.spec.kind]
    check = f"keeps the {facts.contract}"
    required = _required(registry.options_model(one)) if one.spec.kind != "model" else []
    if required:
        why = f"it needs {', '.join(required)}: name its own tests with --tests DIR"
        return Finding(subject, check, skipped=why)
    name = one.spec.name if one.spec.kind == "model" else one.full_name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_contract.py"
        file.write_text(
            f"from latte.testing import {facts.contract}\n\n\n"
            f"class TestComponent({facts.contract}):\n    component = {name!r}\n",
            encoding="utf-8",
        )
        return Finding(subject, check, _pytest(["--rootdir", folder, str(file)]))


def _required(model: type[Options]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _pytest(arguments: Sequence[str]) -> str | None:
    """None if all passed, else the lines that say what did not."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *_OPTIONS, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 0:
        return None
    errors = re.findall(r"^E +(.+)$", ended.stdout, flags=re.MULTILINE)
    return "\n".join(dict.fromkeys(errors[:5])) or (ended.stdout + ended.stderr).strip()[-400:]
