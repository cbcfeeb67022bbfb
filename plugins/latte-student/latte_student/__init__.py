"""Small image classifiers for devices: `latte distil` trains one on the labels of a run."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ClassifierSpec, CommandSpec, hookimpl


@hookimpl
def latte_commands() -> Iterable[CommandSpec]:
    """Return the command of this plugin."""
    summary = "Train a small image classifier on the labels of a run, and write it as ONNX."
    return [CommandSpec("distil", "latte_student.command:distil", summary, api_version=2)]


@hookimpl
def latte_classifiers() -> Iterable[ClassifierSpec]:
    """Return what opens the folders that `latte distil` writes."""
    summary = "small networks that `latte distil` trained"
    return [ClassifierSpec("student", "latte_student.opened:open_student", summary, api_version=2)]
