"""Contract tests of components of every kind: registration, options, imports without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from pydantic import ValidationError
from torch import Tensor, nn

from latte.api import Component, Kind, LatteError, Options
from latte.api.plugins import Registered, load_registry, reserved_keys
from latte_author.testing.fixtures import make_context


class ComponentContract:
    """Base class of contract tests. Subclasses set `component` and `options`, or override `build`.

    Example:
        >>> from latte_author.testing import ComponentContract
        >>> class TestNearest(ComponentContract):
        ...     kind = "labeler"
        ...     component = "nearest"
        ...     options = {"weight": 0.5}
    """

    kind: ClassVar[Kind]
    component: ClassVar[str] = ""
    """Name of the component in recipes; if empty, tests of the registration are skipped."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options of the component, as in a recipe."""

    def build(self) -> tuple[type[Component[Any]], Options]:
        """Return the component's class and options; override this if no plugin is installed."""
        registered = self.registered()
        return load_registry().load(registered), self.valid(self.options)

    def write_files(self, folder: Path) -> None:
        """Write the files that the options name; paths in options are relative to `folder`."""

    def make(self, folder: Path, seed: int = 0) -> Any:
        """Create `folder` and the files that the options name, and return a new component.

        Relative paths in options start at `folder`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.write_files(folder)
        component, options = self.build()
        return component(options, make_context(folder, seed))

    def registered(self) -> Registered:
        """Return the component's entry in the registry; skip the test if `component` is empty."""
        if not self.component:
            pytest.skip("`component` is not set: the registration is not tested")
        registry = load_registry()
        try:
            return registry.get(self.kind, self.component)
        except LatteError as error:
            short_name = self.component.rpartition("/")[2]
            if any(registered.spec.name == short_name for registered in registry.all(self.kind)):
                raise AssertionError(f"`component` of {type(self).__name__}: {error}") from None
            raise AssertionError(f"is the plugin installed (latte plugins)? {error}") from None

    def valid(self, options: Mapping[str, Any]) -> Options:
        """Return validated `options`.

        Raises `AssertionError` with every invalid option, and the names of all possible options.
        """
        model = load_registry().options_model(self.registered())
        try:
            return model.model_validate(dict(options))
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()
            ]
            raise AssertionError(
                f"`options` of {type(self).__name__} do not fit {model.__name__}: "
                f"{'; '.join(problems)}. All options: {', '.join(model.model_fields) or 'none'}"
            ) from None

    def test_it_is_registered(self) -> None:
        """The component must be registered, and its class must implement all abstract methods."""
        load_registry().load(self.registered())

    def test_listing_does_not_import_torch(self) -> None:
        """Listing the plugin's components must not import torch, so that the list appears fast."""
        assert not listing_imports_torch(self.registered().distribution), HOOK_IMPORTS_TORCH

    def test_an_unknown_option_is_refused(self) -> None:
        """A misspelt option in a recipe must raise an error."""
        _, options = self.build()
        model, options_with_unknown = type(options), {**options.model_dump(), "no_such_option": 1}
        try:
            model.model_validate(options_with_unknown)
        except ValidationError as error:
            assert any(detail["type"] == "extra_forbidden" for detail in error.errors()), error
        else:
            raise AssertionError(f'{model.__name__} must keep extra="forbid" of latte.api.Options')

    def test_every_option_has_a_description(self) -> None:
        """Each option must have a description, which `latte components` shows."""
        _, options = self.build()
        undescribed_options = [*_undescribed(type(options))]
        assert not undescribed_options, f"no description= for {', '.join(undescribed_options)}"

    def test_no_option_is_called_like_a_key_of_recipes(self) -> None:
        """No option may have the name of a recipe key, such as `use`: no recipe could set it."""
        _, options = self.build()
        reserved_options = {*reserved_keys(self.kind)} & {*type(options).model_fields}
        assert not reserved_options, (
            f"recipes keep the key {', '.join(sorted(reserved_options))} for themselves"
        )

    def test_options_survive_a_resolved_recipe(self) -> None:
        """Options must not change when a run folder's recipe is written and read again."""
        _, options = self.build()
        restored_options = type(options).model_validate(options.model_dump(mode="json"))
        assert restored_options == options, (
            f"{options!r} comes back from JSON as {restored_options!r}"
        )


def own_leaves(component: Component[Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of each trainable tensor of a component, also inside its modules."""
    for name, attribute in vars(component).items():
        if isinstance(attribute, Tensor) and attribute.is_leaf and attribute.requires_grad:
            yield name, attribute
        elif isinstance(attribute, nn.Module):
            for inner_name, parameter in attribute.named_parameters():
                if parameter.requires_grad:
                    yield f"{name}.{inner_name}", parameter


def _undescribed(model: type[Options], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not (field.description or "").strip():
            yield prefix + name
        for annotation in (field.annotation, *get_args(field.annotation)):
            if isinstance(annotation, type) and issubclass(annotation, Options):
                yield from _undescribed(annotation, f"{prefix}{name}.")


HOOK_IMPORTS_TORCH = "the module with `latte_components` imports torch: components belong elsewhere"
_PROGRAM = """
import sys
from latte.api.plugins import load_registry

load_registry()
print("torch" in sys.modules)
"""


@cache
def listing_imports_torch(distribution: str) -> bool:
    """Return True if a new interpreter that lists the package's components imports torch."""
    process = run_program(_PROGRAM, LATTE_PLUGINS=distribution)
    assert process.returncode == 0, f"listing {distribution} failed:\n{process.stderr}"
    return process.stdout.strip() == "True"


def run_program(
    program: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `program` in a new interpreter that finds the same modules as this one."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
