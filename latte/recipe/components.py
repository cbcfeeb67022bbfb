"""Find the components that a recipe names, and validate their options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from latte.interfaces import LatteError, Options
from latte.recipe.layout import ONE_LEARNER, SEVERAL, SINGLE, kind_at
from latte.recipe.mistakes import Mistakes, wrong_type
from latte.recipe.model import Choice
from latte.recipe.node import KeyPath, Node, find, holds_value
from latte.recipe.settings import Validator
from latte.registry.registry import Registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, BY, NAME, USE, Kind, Registered, reserved_keys

LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
"""Pattern of valid names of list items and controls, which become parts of file names."""


class Components:
    """Looks up the components that one recipe names, and validates their options."""

    def __init__(self, root: Node, registry: Registry, validator: Validator) -> None:
        self._root = root
        self._registry = registry
        self._validator = validator
        self._mistakes = validator.mistakes
        self._found = {path: self._look_up(path) for path in component_paths(root)}
        for path, found in self._found.items():
            if found:
                validator.sections.add(path, found[1])

    def choice(self, path: KeyPath) -> Choice | None:
        """Return the component at `path`, or None if it is absent or a mistake was reported."""
        found, node = self._found.get(path), find(self._root, path)
        if found is None or node is None:
            return None
        (registered, model), name = found, node.child(NAME)
        spec = registered.spec
        reserved = reserved_keys(spec.kind)
        own = node.without(reserved)
        if spec.kind in ("describer", "description"):
            self._refuse_variables_in_prompts(own, path)
        options = self._validator.validated(model, own, path, reserved=reserved)
        label = spec.name if name is None else label_of(name, (*path, NAME), self._mistakes)
        by = node.child(BY) if BY in reserved else None
        describer = None if by is None else label_of(by, (*path, BY), self._mistakes)
        if options is None or label is None or (by is not None and describer is None):
            return None
        return Choice(spec, registered.distribution, registered.version, label, options, describer)

    def _refuse_variables_in_prompts(self, component: Node, path: KeyPath) -> None:
        """Report variables in prompts: prompts are exported, and a variable may hold a secret."""
        for key, node in component.items():
            prompts = [node, *(below for _, below in node.items())] if "prompt" in str(key) else []
            for prompt in prompts:
                for name in prompt.origin.variables:
                    what = (
                        f"a prompt cannot contain the variable {name}: prompts are stored and "
                        "exported with the texts"
                    )
                    self._mistakes.add(prompt.origin, (*path, key), what, "Write the text itself.")

    def _look_up(self, path: KeyPath) -> tuple[Registered, type[Options]] | None:
        kind, node = kind_at(path), find(self._root, path)
        assert kind is not None
        assert node is not None
        try:
            registered = self._registered(kind, node, path)
            if registered is None:
                return None
            model = self._registry.options_model(registered)
            if taken := {*reserved_keys(kind)} & {*model.model_fields}:
                raise LatteError(
                    f"{registered.full_name} has an option {min(taken)}, which no recipe can set",
                    hint=f"Report it to the authors of {registered.distribution}.",
                )
            return registered, model
        except LatteError as error:
            origin = (node.child(USE) or node).origin
            self._mistakes.add(origin, (*path, USE), error.what, error.hint)
        return None

    def _registered(self, kind: Kind, node: Node, path: KeyPath) -> Registered | None:
        """Return the component that `node` names, or None if a mistake in `node` was reported."""
        if not isinstance(node.value, dict):
            what, _ = wrong_type(["the name of a component or a mapping with use: NAME"], node)
            self._mistakes.add(node.origin, path, what)
            return None
        use = node.child(USE)
        if use is None:
            names = (written_name(self._registry, one) for one in self._registry.all(kind))
            raise LatteError(
                'the key "use" is missing: it names the component',
                hint=f"Add use: NAME. All names: {', '.join(names)}.",
            )
        if use.broken:
            return None
        if not isinstance(use.value, str):
            what, hint = wrong_type(["the name of a component"], use)
            raise LatteError(what, hint=hint)
        return find_component(self._registry, kind, use.value)


def component_paths(root: Node) -> Iterator[KeyPath]:
    """Yield the key paths at which a recipe names components."""
    keys: list[KeyPath] = [(key,) for key in SINGLE]
    keys += [(*path, key) for path in _items(root, "learners") for key in ONE_LEARNER]
    for path in keys:
        if holds_value(find(root, path)):
            yield path
    for key in SEVERAL:
        yield from _items(root, key)


def find_component(registry: Registry, kind: Kind, name: str) -> Registered:
    """Return the installed component that a recipe calls `name`.

    Raises `LatteError` if there is none, or if `name` is a path to code.
    """
    if ":" in name or "." in name:
        raise LatteError(
            f'"{name}" is a path to code, and a recipe can name registered components only',
            hint=f"All names: latte components {kind}",
        )
    return registry.get(kind, name)


def written_name(registry: Registry, registered: Registered) -> str:
    """Return the name that a resolved recipe uses for a component.

    A built-in component gets its short name, unless another package has the same name. Every other
    component gets its full name, which stays unique if packages are installed later.
    """
    if registered.distribution != BUILTIN_DISTRIBUTION:
        return registered.full_name
    names = [one.spec.name for one in registry.all(registered.spec.kind)]
    is_unique = names.count(registered.spec.name) == 1
    return registered.spec.name if is_unique else registered.full_name


def label_of(node: Node, path: KeyPath, mistakes: Mistakes) -> str | None:
    """Return the text in `node`, which must be usable in a file name.

    Otherwise, a mistake at `path` is reported, and None is returned.
    """
    if node.broken:
        return None
    if not isinstance(node.value, str):
        mistakes.add(node.origin, path, *wrong_type(["text"], node))
        return None
    if not is_label(node.value):
        mistakes.add(node.origin, path, *unusable_label(node.value))
        return None
    return node.value


def unusable_label(name: str) -> tuple[str, str]:
    """Return message and hint for a name that cannot be part of a file name."""
    return f'"{name}" cannot be used as a name', "Use letters, digits, _ - and . (not in front)."


def is_label(name: str) -> bool:
    """Return True if `name` can be part of a file name."""
    return bool(LABEL.fullmatch(name))


def _items(root: Node, key: str) -> Iterator[tuple[str, int]]:
    node = root.child(key)
    if node is not None and isinstance(node.value, list):
        yield from ((key, index) for index in range(len(node.value)))
