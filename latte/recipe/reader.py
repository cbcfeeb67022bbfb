"""Reads one recipe, or one control, from nodes: every section validated and checked for sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from latte.interfaces import LatteError, Options
from latte.interfaces.settings import (
    BRING_WEIGHTS,
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    TrainSettings,
)
from latte.recipe.components import Components, find_component
from latte.recipe.describers import resolve_describers
from latte.recipe.layout import EXTENDS, GENERAL, KEYS, LEARNERS, ONE_DESCRIBER, SEVERAL, Sections
from latte.recipe.learners import LearnerReader
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import KeyPath, Node
from latte.recipe.requirements import check_requirement, refuse_labels, refuse_unused
from latte.recipe.settings import Validator
from latte.registry.registry import Registry

ModelT = TypeVar("ModelT", bound=Options)
Listed: TypeAlias = tuple[Choice, KeyPath]
"""A component of a list, and where it stands."""

_PLUGIN_MODEL = "plugin:"
_PRETRAINED = "pretrained"
_EXAMPLES = {
    "backbone": "backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}",
    "dataset": "dataset: {use: folder, root: FOLDER, classes: FILE}",
}


class RecipeReader:
    """Reads the mapping `root`, which has its defaults."""

    def __init__(self, root: Node, registry: Registry, mistakes: Mistakes, path: Path) -> None:
        self.root = root
        self.registry = registry
        self.mistakes = mistakes
        self.path = path
        self.sections = Sections()
        self.validator = Validator(mistakes, self.sections)
        self.components = Components(root, registry, self.validator)
        self.learners = LearnerReader(root, self.components, self.validator)

    def read(self) -> Recipe | None:
        """The recipe, without controls; None if anything is wrong, which was reported."""
        self._refuse_unknown_keys()
        general, backbone = self._general(), self._backbone()
        train = self._settings(TrainSettings, "train")
        evaluate = self._settings(EvaluateSettings, "evaluate")
        dataset, guard = self._dataset(), self.components.choice(("guard",))
        describers, descriptions, gates, labels, reporters = map(self._list, SEVERAL)
        single = self.components.choice((ONE_DESCRIBER,))
        describers = [(single, (ONE_DESCRIBER,))] if single else describers
        descriptions = resolve_describers(self.root, descriptions, describers, self.mistakes)
        learners = self._learners()
        self._check_oracle(general, descriptions)
        self._require_what_training_needs(train)
        if self.mistakes.found or not (general and backbone and train and evaluate and dataset):
            return None
        return Recipe(
            path=self.path,
            general=general,
            backbone=backbone,
            dataset=dataset,
            guard=guard,
            describers=_choices(describers),
            descriptions=_choices(descriptions),
            gates=_choices(gates),
            labels=_choices(labels),
            learners=learners,
            train=train,
            evaluate=evaluate,
            reporters=_choices(reporters),
        )

    def _refuse_unknown_keys(self) -> None:
        for key, node in self.root.items():
            if key not in KEYS:
                what, hint = self.sections.unknown_key(str(key), (*KEYS, EXTENDS))
                self.mistakes.add(node.origin, (key,), what, hint)

    def _general(self) -> GeneralSettings | None:
        entries = {str(key): node for key, node in self.root.items() if key in GENERAL}
        self._check_requirements()
        return self.validator.validated(GeneralSettings, Node(entries, self.root.origin), ())

    def _check_requirements(self) -> None:
        requires = self.root.child("requires")
        for index, node in requires.items() if requires else ():
            if isinstance(node.value, str) and not node.broken:
                try:
                    check_requirement(node.value)
                except LatteError as error:
                    path = ("requires", index)
                    self.mistakes.add(node.origin, path, error.what, error.hint)

    def _settings(self, model: type[ModelT], key: str) -> ModelT | None:
        """A section whose keys all have defaults."""
        node = self.root.child(key) or Node({}, self.root.origin)
        return self.validator.validated(model, node, (key,))

    def _backbone(self) -> BackboneSettings | None:
        if self._is_missing("backbone"):
            return None
        node = _without_idle_tag(self.root.child("backbone") or Node({}, self.root.origin))
        backbone = self.validator.validated(BackboneSettings, node, ("backbone",))
        if backbone and backbone.model.startswith(_PLUGIN_MODEL):
            try:
                find_component(self.registry, "model", backbone.model.removeprefix(_PLUGIN_MODEL))
            except LatteError as error:
                self.mistakes.add_at(self.root, ("backbone", "model"), error.what, error.hint)
        return backbone

    def _dataset(self) -> Choice | None:
        return None if self._is_missing("dataset") else self.components.choice(("dataset",))

    def _is_missing(self, key: str) -> bool:
        node = self.root.child(key)
        missing = node is None or node.value is None
        if missing:
            self.mistakes.add_at(
                self.root, (key,), f'the key "{key}" is missing', f"As in: {_EXAMPLES[key]}"
            )
        return missing

    def _list(self, key: str) -> list[Listed]:
        """The components listed at `key`, without those that are wrong."""
        node = self.root.child(key)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.mistakes.add(node.origin, (key,), *_expected_list(node))
            return []
        paths: list[KeyPath] = [(key, index) for index in range(len(node.value))]
        found = [(choice, path) for path in paths if (choice := self.components.choice(path))]
        self._refuse_twins([(choice.label, path) for choice, path in found])
        return found

    def _learners(self) -> tuple[LearnerChoice, ...]:
        read = self.learners.read()
        named = [(one.settings.name, (LEARNERS, i)) for i, one in enumerate(read) if one]
        self._refuse_twins(named)
        return tuple(learner for learner in read if learner)

    def _refuse_twins(self, labelled: Sequence[tuple[str, KeyPath]]) -> None:
        """Results and files are told apart by their label."""
        for label, path in _repeated(labelled):
            self.mistakes.add_at(
                self.root,
                path,
                f'a second item of this list is called "{label}"',
                "Give it a name of its own, as in: name: second",
            )

    def _check_oracle(
        self, general: GeneralSettings | None, descriptions: Sequence[Listed]
    ) -> None:
        """Only descriptions may use labels, and whether none does shows when all are valid."""
        if general is None:
            return
        if not general.oracle:
            for choice, path in descriptions:
                refuse_labels(choice, path, self.root, self.mistakes)
            return
        written = self.root.child("descriptions")
        if len(descriptions) == len([*written.items()] if written else []):
            refuse_unused(_choices(descriptions), self.root, self.mistakes)

    def _require_what_training_needs(self, train: TrainSettings | None) -> None:
        if train is None or not train.takes_steps:
            return
        labels = self.root.child("labels")
        if labels is None or labels.value == []:
            self.mistakes.add_at(
                self.root,
                ("labels",),
                "training needs pseudo-labels, and there are none",
                "Add labels: [frozen, current], or train: {max_steps: 0} to train nothing.",
            )
        self.learners.require_losses()


def _without_idle_tag(backbone: Node) -> Node:
    """The section without a weight tag that nobody asked for and that its model cannot use.

    `pretrained: ${NAME:-TAG}` without `NAME` is a default for models that open_clip knows by name;
    a model that brings its weights needs none. A tag that somebody wrote stays, and is refused.
    """
    model, tag = backbone.child("model"), backbone.child(_PRETRAINED)
    is_default = tag is not None and tag.origin.variables and not tag.filled
    if model and is_default and str(model.value).startswith(BRING_WEIGHTS):
        return backbone.replaced(_PRETRAINED, None)
    return backbone


def _choices(listed: Iterable[Listed]) -> tuple[Choice, ...]:
    return tuple(choice for choice, _ in listed)


def _expected_list(node: Node) -> tuple[str, str | None]:
    what, hint = wrong_type([EXPECTED["list_type"]], node)
    return what, hint or ("Put a - in front, or [ ] around it." if node.value else "Write [].")


def _repeated(labelled: Sequence[tuple[str, KeyPath]]) -> Iterator[tuple[str, KeyPath]]:
    seen: set[str] = set()
    for label, path in labelled:
        if label in seen:
            yield label, path
        seen.add(label)
