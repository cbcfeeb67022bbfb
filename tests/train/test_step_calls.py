"""The code of a step calls nothing that waits for the device, apart from one transfer of labels."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import latte

LATTE = Path(latte.__file__).parent
WAITING = {"item", "cpu", "nonzero"}
"""Methods of tensors that wait until the device has computed their values."""
STEP = {
    "train/step.py": None,
    "train/features.py": None,
    "train/gradcache.py": None,
    "train/shared.py": None,
    "components/latteclip.py": {"assign", "supervise", "update", "__call__", "margins", "mix"},
}
"""Files of a step, with the functions that it calls; None: all of them."""
ALLOWED = {("train/step.py", "_labels_for_texts", "cpu")}


def waiting_calls(text: str, functions: set[str] | None) -> set[tuple[str, str]]:
    """Return function and method of each call of a method in `WAITING`."""
    definitions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert functions is None or functions <= {definition.name for definition in definitions}
    return {
        (definition.name, call.func.attr)
        for definition in definitions
        if functions is None or definition.name in functions
        for call in ast.walk(definition)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in WAITING
    }


def test_step_waits_for_the_device_once_to_choose_texts() -> None:
    calls = {
        (file, *call)
        for file, functions in STEP.items()
        for call in waiting_calls((LATTE / file).read_text(encoding="utf-8"), functions)
    }
    assert calls == ALLOWED


@pytest.mark.parametrize("call", ["loss.item()", "labels.cpu()", "(weights > 0).nonzero()"])
def test_a_waiting_call_is_found(call: str) -> None:
    text = f"def step(loss, labels, weights):\n    return [{call}]\n"
    assert [function for function, _ in waiting_calls(text, None)] == ["step"]
