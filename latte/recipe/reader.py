"""Read a recipe, or a control's recipe, from nodes: validate sections and their combination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    check_questions,
    check_requirement,
    refuse_labels,
    refuse_unused,
    resolve_describers,
)
from latte.recipe.components import Components, find_component, is_label, unusable_label
from latte.recipe.layout import (
    AUGMENT,
    AUGMENTATION,
    BACKBONE,
    EXTENDS,
    GENERAL,
    KEYS,
    LEARNERS,
    ONE_DESCRIBER,
    ONE_LEARNER,
    SEVERAL,
    TRAIN,
)
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import KeyPath, Node, find
from latte.recipe.settings import Sections, Validator
from latte.registry.registry import Registry

ModelT = TypeVar("ModelT", bound=Options)

_PLUGIN_MODEL = "plugin:"
_PRETRAINED = "pretrained"
_EXAMPLES = {
    "backbone": "backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}",
    "dataset": "dataset: {use: folder, root: FOLDER, classes: FILE}",
}


class RecipeReader:
    """Reads one recipe from its root node, and fills in the default components."""

    def __init__(self, root: Node, registry: Registry, mistakes: Mistakes, path: Path) -> None:
        self.root = root = _without_default_tag(root)
        self.registry = registry
        self.mistakes = mistakes
        self.path = path
        self.sections = Sections()
        self.validator = Validator(mistakes, self.sections)
        self.components = Components(root, registry, self.validator)
        self.learners = LearnerReader(root, self.components, self.validator)

    def read(self) -> Recipe | None:
        """Return the recipe without controls; None after reporting mistakes."""
        self._refuse_unknown_keys()
        general, backbone = self._general(), self._backbone()
        train = self._settings(TrainSettings, "train")
        evaluate = self._settings(EvaluateSettings, "evaluate")
        dataset, guard = self._dataset(), self.components.choice(("guard",))
        augmentation = self._augmentation()
        describers, descriptions, gates, labels, reporters = map(self._list, SEVERAL)
        single = self.components.choice((ONE_DESCRIBER,))
        describers = [(single, (ONE_DESCRIBER,))] if single else describers
        descriptions = resolve_describers(self.root, descriptions, describers, self.mistakes)
        check_questions(self.root, labels, describers, self.mistakes)
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
            augmentation=augmentation,
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
        """Return the section `key`, in which every key has a default; None if it is wrong."""
        node = self.root.child(key) or Node({}, self.root.origin)
        return self.validator.validated(model, node, (key,))

    def _backbone(self) -> Choice | None:
        if self._is_missing(BACKBONE):
            return None
        backbone = self.components.choice((BACKBONE,))
        options = backbone.options if backbone else None
        if isinstance(options, BackboneSettings) and options.model.startswith(_PLUGIN_MODEL):
            try:
                find_component(self.registry, "model", options.model.removeprefix(_PLUGIN_MODEL))
            except LatteError as error:
                self.mistakes.add_at(self.root, (BACKBONE, "model"), error.what, error.hint)
        return backbone

    def _dataset(self) -> Choice | None:
        return None if self._is_missing("dataset") else self.components.choice(("dataset",))

    def _augmentation(self) -> Choice | None:
        written = find(self.root, (TRAIN, AUGMENT))
        node = self.root.child(AUGMENTATION)
        if written is not None and node is not None and node.value is not None:
            self.mistakes.add(
                written.origin,
                (TRAIN, AUGMENT),
                f'"{AUGMENT}" cannot stand beside "{AUGMENTATION}", which makes the views',
                f'Remove "{AUGMENT}" here, or write {AUGMENTATION}: null.',
            )
        return self.components.choice((AUGMENTATION,))

    def _is_missing(self, key: str) -> bool:
        node = self.root.child(key)
        missing = node is None or node.value is None
        if missing:
            self.mistakes.add_at(
                self.root, (key,), f'the key "{key}" is missing', f"As in: {_EXAMPLES[key]}"
            )
        return missing

    def _list(self, key: str) -> list[Listed]:
        """Return the components listed at `key`, without wrong ones, which are reported."""
        node = self.root.child(key)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.mistakes.add(node.origin, (key,), *_expected_list(node))
            return []
        paths: list[KeyPath] = [(key, index) for index in range(len(node.value))]
        found = [(choice, path) for path in paths if (choice := self.components.choice(path))]
        self._refuse_duplicates([(choice.label, path) for choice, path in found])
        return found

    def _learners(self) -> tuple[LearnerChoice, ...]:
        read = self.learners.read()
        named = [(one.settings.name, (LEARNERS, i)) for i, one in enumerate(read) if one]
        self._refuse_duplicates(named)
        return tuple(learner for learner in read if learner)

    def _refuse_duplicates(self, labelled: Sequence[tuple[str, KeyPath]]) -> None:
        """Report labels that occur twice: labels must be unique, as they name results and files."""
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
        """Report a missing or needless `oracle: true`.

        Only descriptions may use ground-truth labels. A needless `oracle: true` is reported only if
        all descriptions are valid.
        """
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


def _without_default_tag(root: Node) -> Node:
    """Return the recipe without a default `pretrained` tag that its model cannot use.

    In `pretrained: ${NAME:-TAG}`, `TAG` is a default for models that open_clip knows by name. A
    model with its own weights needs no tag. A tag that is set explicitly stays, and is refused
    later.
    """
    backbone = root.child(BACKBONE) or Node(None, root.origin)
    model, tag = backbone.child("model"), backbone.child(_PRETRAINED)
    is_default = tag is not None and tag.origin.variables and not tag.filled
    if model and is_default and str(model.value).startswith(BRING_WEIGHTS):
        return root.replaced(BACKBONE, backbone.replaced(_PRETRAINED, None))
    return root


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


@dataclass(frozen=True)
class LearnerReader:
    """Reader of the learners of the recipe `root`: its list `learners`, or the single `main`."""

    root: Node
    components: Components
    validator: Validator

    @property
    def mistakes(self) -> Mistakes:
        """Mistakes found so far."""
        return self.validator.mistakes

    def read(self) -> tuple[LearnerChoice | None, ...]:
        """Return every learner; a wrong one is reported, and None is returned in its place."""
        node = self.root.child(LEARNERS)
        if node is None:
            return (self._main(),)
        self._refuse_both()
        if not isinstance(node.value, list):
            self.mistakes.add(node.origin, (LEARNERS,), *wrong_type([EXPECTED["list_type"]], node))
            return (None,)
        if not node.value:
            self.mistakes.add(node.origin, (LEARNERS,), "needs at least one learner")
            return (None,)
        return tuple(self._listed(item, index) for index, item in enumerate(node.value))

    def require_losses(self) -> None:
        """Report each learner without a loss; for recipes that train."""
        node = self.root.child(LEARNERS)
        items = [*node.items()] if node else []
        learners = (
            [((LEARNERS, index), item) for index, item in items] if node else [((), self.root)]
        )
        for path, learner in learners:
            loss = learner.child("loss")
            if isinstance(learner.value, dict) and (loss is None or loss.value is None):
                self.mistakes.add(
                    learner.origin,
                    (*path, "loss"),
                    'training needs a loss, and the key "loss" is missing',
                    "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
                )

    def _main(self) -> LearnerChoice | None:
        settings = self.validator.validated(LearnerSettings, Node({}, self.root.origin), ())
        return self._with_components(settings, ())

    def _listed(self, node: Node, index: int) -> LearnerChoice | None:
        path = (LEARNERS, index)
        own = node
        if isinstance(node.value, dict):
            for key in ONE_LEARNER:
                own = own.replaced(key, None)
        settings = self.validator.validated(LearnerSettings, own, path, reserved=ONE_LEARNER)
        if settings and not is_label(settings.name):
            self.mistakes.add_at(self.root, (*path, "name"), *unusable_label(settings.name))
            return None
        return self._with_components(settings, path)

    def _with_components(
        self, settings: LearnerSettings | None, path: KeyPath
    ) -> LearnerChoice | None:
        for key in ("trainable", "prototypes"):
            node = find(self.root, (*path, key))
            if node is not None and node.value is None:
                hint = "Remove the key for the default."
                self.mistakes.add(node.origin, (*path, key), "names no component", hint)
        trainable, prototypes, loss = (self.components.choice((*path, key)) for key in ONE_LEARNER)
        if settings is None or trainable is None or prototypes is None:
            return None
        return LearnerChoice(settings, trainable, prototypes, loss)

    def _refuse_both(self) -> None:
        for key in ONE_LEARNER:
            node = self.root.child(key)
            if node is not None:
                self.mistakes.add(
                    node.origin,
                    (key,),
                    f'"{key}" cannot stand beside "learners": each learner has its own',
                    f'Move "{key}" into the learners, or remove "learners".',
                )
