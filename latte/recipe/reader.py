"""Read a recipe, or a control's recipe, from nodes: validate sections and their combination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from latte.interfaces import LatteError, Options
from latte.interfaces.settings import (
    BRING_WEIGHTS,
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    TrainSettings,
)
from latte.recipe.checks import (
    Listed,
    check_oracle,
    check_questions,
    check_requirement,
    resolve_describers,
)
from latte.recipe.components import Components, find_component, is_label, unusable_label
from latte.recipe.layout import BACKBONE, GENERAL, KEYS, LEARNERS, ONE_LEARNER, SEVERAL
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import KeyPath, Node, find
from latte.recipe.settings import Sections, Validator
from latte.registry.registry import Registry

ModelT = TypeVar("ModelT", bound=Options)

_PLUGIN_MODEL = "plugin:"
_EXAMPLES = {
    BACKBONE: "backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}",
    "dataset": "dataset: {use: folder, root: FOLDER, classes: FILE}",
}


class RecipeReader:
    """Reader of one recipe from its root node; it reports mistakes and reads on."""

    def __init__(self, root: Node, registry: Registry, mistakes: Mistakes, path: Path) -> None:
        self.root = _without_default_tag(root)
        self.registry = registry
        self.mistakes = mistakes
        self.path = path
        self.sections = Sections()
        self.validator = Validator(mistakes, self.sections)
        self.components = Components(self.root, registry, self.validator)

    def read(self) -> Recipe | None:
        """Return the recipe without controls; None after reporting mistakes."""
        self._refuse_unknown_keys()
        general, backbone = self._general(), self._backbone()
        train = self._settings(TrainSettings, "train")
        evaluate = self._settings(EvaluateSettings, "evaluate")
        dataset, guard = self._required("dataset"), self.components.choice(("guard",))
        augmentation = self._augmentation()
        describers, descriptions, gates, labels, reporters = map(self._list, SEVERAL)
        single = self.components.choice(("describer",))
        describers = [(single, ("describer",))] if single else describers
        descriptions = resolve_describers(self.root, descriptions, describers, self.mistakes)
        check_questions(self.root, labels, describers, self.mistakes)
        learners = self._learners()
        if general:
            check_oracle(general.oracle, descriptions, self.mistakes)
        if train and train.takes_steps:
            self._require_what_training_needs()
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
            augmentation=augmentation,
            train=train,
            evaluate=evaluate,
            reporters=_choices(reporters),
        )

    def _refuse_unknown_keys(self) -> None:
        for key, node in self.root.items():
            if key not in KEYS:
                what, hint = self.sections.unknown_key(str(key), (*KEYS, "extends"))
                self.mistakes.add(node.origin, (key,), what, hint)

    def _general(self) -> GeneralSettings | None:
        requires = self.root.child("requires")
        for index, node in requires.items() if requires else ():
            if isinstance(node.value, str) and not node.broken:
                try:
                    check_requirement(node.value)
                except LatteError as error:
                    self.mistakes.add_at(("requires", index), error.what, error.hint)
        entries = {str(key): node for key, node in self.root.items() if key in GENERAL}
        return self.validator.validated(GeneralSettings, Node(entries, self.root.origin), ())

    def _settings(self, model: type[ModelT], key: str) -> ModelT | None:
        """Return the section `key`, in which every key has a default; None if it is wrong."""
        node = self.root.child(key) or Node({}, self.root.origin)
        return self.validator.validated(model, node, (key,))

    def _required(self, key: str) -> Choice | None:
        """Return the component at `key`; None if it is missing or wrong, which is reported."""
        if not _holds_value(self.root.child(key)):
            self.mistakes.add_at((key,), f'the key "{key}" is missing', f"As in: {_EXAMPLES[key]}")
        return self.components.choice((key,))

    def _backbone(self) -> Choice | None:
        backbone = self._required(BACKBONE)
        options = backbone.options if backbone else None
        if isinstance(options, BackboneSettings) and options.model.startswith(_PLUGIN_MODEL):
            try:
                find_component(self.registry, "model", options.model.removeprefix(_PLUGIN_MODEL))
            except LatteError as error:
                self.mistakes.add_at((BACKBONE, "model"), error.what, error.hint)
        return backbone

    def _augmentation(self) -> Choice | None:
        written = find(self.root, ("train", "augment"))
        if written is not None and _holds_value(self.root.child("augmentation")):
            self.mistakes.add_at(
                ("train", "augment"),
                '"augment" cannot stand beside "augmentation", which makes the views',
                'Remove "augment", or "augmentation".',
            )
        return self.components.choice(("augmentation",))

    def _list(self, key: str) -> list[Listed]:
        """Return the components listed at `key`, without wrong ones, which are reported."""
        node = self.root.child(key)
        if node is None:
            return []
        if not isinstance(node.value, list):
            what, hint = wrong_type([EXPECTED["list_type"]], node)
            example = "Put a - in front, or [ ] around it." if node.value else "Write []."
            self.mistakes.add_at((key,), what, hint or example)
            return []
        paths: list[KeyPath] = [(key, index) for index in range(len(node.value))]
        found = [(choice, path) for path in paths if (choice := self.components.choice(path))]
        self._refuse_duplicates([(choice.label, path) for choice, path in found])
        return found

    def _refuse_duplicates(self, labelled: Sequence[tuple[str, KeyPath]]) -> None:
        """Report labels that occur twice: labels must be unique, as they name results and files."""
        seen: set[str] = set()
        for label, path in labelled:
            if label in seen:
                self.mistakes.add_at(
                    path,
                    f'a second item of this list is called "{label}"',
                    "Give it a name of its own, as in: name: second",
                )
            seen.add(label)

    def _learners(self) -> tuple[LearnerChoice, ...]:
        """Return the learners in the list `learners`, or the single learner `main`."""
        node = self.root.child(LEARNERS)
        if node is None:
            main = self._learner(Node({}, self.root.origin), ())
            return (main,) if main else ()
        for key in ONE_LEARNER:
            if self.root.child(key) is not None:
                self.mistakes.add_at(
                    (key,),
                    f'"{key}" cannot stand beside "learners": each learner has its own',
                    f'Move "{key}" into the learners, or remove "learners".',
                )
        if not isinstance(node.value, list):
            self.mistakes.add_at((LEARNERS,), *wrong_type([EXPECTED["list_type"]], node))
            return ()
        if not node.value:
            self.mistakes.add_at((LEARNERS,), "needs at least one learner")
        paths: list[KeyPath] = [(LEARNERS, index) for index in range(len(node.value))]
        read = [
            (self._learner(item, path), path) for item, path in zip(node.value, paths, strict=True)
        ]
        found = [(learner, path) for learner, path in read if learner]
        self._refuse_duplicates([(learner.settings.name, path) for learner, path in found])
        return tuple(learner for learner, _ in found)

    def _learner(self, node: Node, path: KeyPath) -> LearnerChoice | None:
        own = node.without(ONE_LEARNER)
        settings = self.validator.validated(LearnerSettings, own, path, reserved=ONE_LEARNER)
        if settings and not is_label(settings.name):
            self.mistakes.add_at((*path, "name"), *unusable_label(settings.name))
            return None
        for key in ("trainable", "prototypes"):
            component = find(self.root, (*path, key))
            if component is not None and component.value is None:
                hint = "Remove the key for the default."
                self.mistakes.add_at((*path, key), "names no component", hint)
        trainable, prototypes, loss = (self.components.choice((*path, key)) for key in ONE_LEARNER)
        if settings is None or trainable is None or prototypes is None:
            return None
        return LearnerChoice(settings, trainable, prototypes, loss)

    def _require_what_training_needs(self) -> None:
        """Report missing pseudo-labels, and each learner without a loss."""
        labels = self.root.child("labels")
        if labels is None or labels.value == []:
            self.mistakes.add_at(
                ("labels",),
                "training needs pseudo-labels, and there are none",
                "Add labels: [frozen, current], or train: {max_steps: 0} to train nothing.",
            )
        listed = self.root.child(LEARNERS)
        learners: list[tuple[KeyPath, Node]] = [((), self.root)]
        if listed is not None:
            learners = [((LEARNERS, index), learner) for index, learner in listed.items()]
        for path, learner in learners:
            if isinstance(learner.value, dict) and not _holds_value(learner.child("loss")):
                self.mistakes.add(
                    learner.origin,
                    (*path, "loss"),
                    'training needs a loss, and the key "loss" is missing',
                    "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
                )


def _without_default_tag(root: Node) -> Node:
    """Return the recipe without a default `pretrained` tag that its model cannot use.

    In `pretrained: ${NAME:-TAG}`, `TAG` is a default for models that open_clip knows by name. A
    model with its own weights needs no tag. A tag that is set explicitly stays, and is refused
    later.
    """
    backbone = root.child(BACKBONE) or Node(None, root.origin)
    model, tag = backbone.child("model"), backbone.child("pretrained")
    is_default = tag is not None and tag.origin.variables and not tag.filled
    if model and is_default and str(model.value).startswith(BRING_WEIGHTS):
        return root.replaced(BACKBONE, backbone.without(["pretrained"]))
    return root


def _holds_value(node: Node | None) -> bool:
    return node is not None and node.value is not None


def _choices(listed: Iterable[Listed]) -> tuple[Choice, ...]:
    return tuple(choice for choice, _ in listed)
