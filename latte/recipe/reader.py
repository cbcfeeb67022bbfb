"""Build a `Recipe` from a tree of nodes: validate each section, and their combination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import suggestion
from latte.interfaces.settings import (
    BRING_WEIGHTS,
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    TrainSettings,
)
from latte.recipe.components import Components, find_component, is_label, unusable_label
from latte.recipe.layout import BACKBONE, GENERAL, KEYS, LEARNERS, ONE_LEARNER, SEVERAL
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import KeyPath, Node, find, holds_value
from latte.recipe.settings import Sections, Validator, check_requirement
from latte.registry.registry import Registry
from latte.registry.spec import BY

ModelT = TypeVar("ModelT", bound=Options)
Listed: TypeAlias = tuple[Choice, KeyPath]

_PLUGIN_MODEL = "plugin:"
_EXAMPLES = {
    BACKBONE: "backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}",
    "dataset": "dataset: {use: folder, root: FOLDER, classes: FILE}",
}


class RecipeReader:
    """Builds one `Recipe` from its root node; reports each mistake and goes on reading."""

    def __init__(self, root: Node, registry: Registry, mistakes: Mistakes, path: Path) -> None:
        self.root = _without_default_tag(root)
        self.registry = registry
        self.mistakes = mistakes
        self.path = path
        self.sections = Sections()
        self.validator = Validator(mistakes, self.sections)
        self.components = Components(self.root, registry, self.validator)

    def read(self) -> Recipe | None:
        """Return the recipe without its controls; None if mistakes were reported."""
        for key, node in self.root.items():
            if key not in KEYS:
                what, hint = self.sections.unknown_key(str(key), (*KEYS, "extends"))
                self.mistakes.add(node.origin, (key,), what, hint)
        general, backbone = self._general(), self._backbone()
        train = self._settings(TrainSettings, "train")
        evaluate = self._settings(EvaluateSettings, "evaluate")
        dataset, guard = self._required("dataset"), self.components.choice(("guard",))
        augmentation = self._augmentation()
        describers, descriptions, gates, labels, reporters = map(self._list, SEVERAL)
        single = self.components.choice(("describer",))
        describers = [(single, ("describer",))] if single else describers
        descriptions = self._resolve_describers(descriptions, describers)
        self._check_questions(labels, describers)
        self._check_budget(labels, descriptions, describers)
        learners = self._learners()
        if general:
            self._check_oracle(general.oracle, descriptions)
        if train and train.takes_steps:
            self._require_what_training_needs()
        if self.mistakes.found or not (general and backbone and train and evaluate and dataset):
            return None
        if not learners:  # a control: the mistake in its learner is reported for the recipe
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
        node = self.root.child(key) or Node({}, self.root.origin)
        return self.validator.validated(model, node, (key,))

    def _required(self, key: str) -> Choice | None:
        """Return the component at `key`; report a mistake if the recipe has none."""
        if not holds_value(self.root.child(key)):
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
        if written is not None and holds_value(self.root.child("augmentation")):
            self.mistakes.add_at(
                ("train", "augment"),
                '"augment" cannot stand beside "augmentation", which makes the views',
                'Remove "augment" here, or write augmentation: null.',
            )
        return self.components.choice(("augmentation",))

    def _list(self, key: str) -> list[Listed]:
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
        """Report components with the same name; results and files are named after components."""
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
        found: list[tuple[LearnerChoice, KeyPath]] = []
        for index, item in enumerate(node.value):
            if learner := self._learner(item, (LEARNERS, index)):
                found.append((learner, (LEARNERS, index)))
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
            if isinstance(learner.value, dict) and not holds_value(learner.child("loss")):
                self.mistakes.add(
                    learner.origin,
                    (*path, "loss"),
                    'training needs a loss, and the key "loss" is missing',
                    "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
                )

    def _check_oracle(self, is_allowed: bool, descriptions: Sequence[Listed]) -> None:
        """Check that the recipe has `oracle: true` if, and only if, an option uses true labels.

        An unneeded `oracle: true` is reported only if there are no other mistakes, because an
        invalid description, which is missing from `descriptions`, may need it.
        """
        paths = [
            (*path, key)
            for choice, path in descriptions
            for key in choice.options.oracle_options
            if getattr(choice.options, key) is not None
        ]
        if is_allowed and not paths and not self.mistakes.found:
            self.mistakes.add_at(
                ("oracle",),
                "oracle is true, and nothing here uses ground-truth labels of training images",
                "Write oracle: false, or set correct: NUMBER of a group description.",
            )
        for path in paths if not is_allowed else ():
            self.mistakes.add_at(
                path,
                f'"{path[-1]}" uses ground-truth labels of training images, and oracle: true is '
                "missing",
                f'Add oracle: true beside "{path[0]}" if this is an ablation; its results are then '
                "marked as those of an oracle.",
            )

    def _resolve_describers(
        self, descriptions: Sequence[Listed], describers: Sequence[Listed]
    ) -> list[Listed]:
        """Check that the describer named by the key `by` of each description exists.

        Returns the descriptions. If the recipe has no describer, one mistake is reported: for the
        first description that needs a describer.
        """
        single, several = self.root.child("describer"), self.root.child("describers")
        if holds_value(single) and several is not None:
            self.mistakes.add_at(
                ("describers",),
                '"describers" cannot stand beside "describer"',
                'Move the describer into the list, or remove "describers".',
            )
        if self._are_incomplete(describers):
            return [*descriptions]
        labels = [choice.label for choice, _ in describers]
        if labels:
            return [(self._checked(choice, labels, path), path) for choice, path in descriptions]
        for choice, path in descriptions:
            if _scope(choice) in ("image", "group"):
                self.mistakes.add_at(
                    path,
                    f'"{choice.label}" is about images, and there is no describer to look at them',
                    "Add describer: phrases, or another: latte components describer",
                )
                break
        return [*descriptions]

    def _check_questions(self, labels: Sequence[Listed], describers: Sequence[Listed]) -> None:
        """Check that only one labeler asks questions, and that it has a describer and a budget."""
        asking = [
            (choice, path) for choice, path in labels if choice.options.questions_to is not None
        ]
        if not asking or self._are_incomplete(describers):
            return
        choice, path = asking[0]
        name, known = choice.options.questions_to, [one.label for one, _ in describers]
        if len(asking) > 1:
            what = "only one labeler of a recipe may ask questions, as there is one budget"
            self.mistakes.add_at(asking[1][1], what, "Remove one of them.")
        if not known:
            what = f'"{choice.label}" asks questions about images, and there is no describer'
            self.mistakes.add_at(path, what, "Add one that answers: latte components describer")
        elif name and name not in known:
            what = f'no describer of this recipe is called "{name}"'
            hint = suggestion(name, known, "Its describers")
            self.mistakes.add_at((*path, "describer"), what, hint)
        if not holds_value(self.root.child("budget")):
            what = f'"{choice.label}" asks questions, and the key "budget" is missing'
            hint = "Add the largest number of questions, as in budget: 300."
            self.mistakes.add_at(path, what, hint)

    def _check_budget(
        self,
        labels: Sequence[Listed],
        descriptions: Sequence[Listed],
        describers: Sequence[Listed],
    ) -> None:
        """Report a `budget` if no labeler asks questions: a budget does not limit descriptions.

        Controls are not checked, because they inherit the recipe's budget. If the recipe has other
        mistakes, nothing is reported, because an invalid labeler may ask questions.
        """
        asked = [choice.label for choice, _ in descriptions if _scope(choice) != "class"]
        obeys = any(choice.options.questions_to is not None for choice, _ in labels)
        is_set = holds_value(self.root.child("budget")) and not self.mistakes.prefix
        if obeys or not (is_set and asked and describers) or self.mistakes.found:
            return
        askers = ", ".join(self._askers()) or "none is installed"
        self.mistakes.add_at(
            ("budget",),
            '"budget" limits the questions of a labeler, and no labeler here asks any: requests '
            f'for the description "{asked[0]}" have no limit',
            "Write budget: null, and count the requests with latte describe RECIPE --dry-run; or "
            f"add a labeler that obeys a budget: {askers}",
        )

    def _askers(self) -> Iterator[str]:
        """Yield the names of installed labelers that ask questions; skip broken plugins."""
        for registered in self.registry.all("labeler"):
            with suppress(LatteError):
                model = self.registry.options_model(registered)
                if model.questions_to is not Options.questions_to:
                    yield registered.spec.name

    def _are_incomplete(self, describers: Sequence[Listed]) -> bool:
        """Return True if invalid describers of the recipe are missing from `describers`.

        If so, an unknown describer name is no mistake: it may belong to an invalid describer.
        """
        single, several = self.root.child("describer"), self.root.child("describers")
        written = int(holds_value(single))
        if several is not None:
            written += len(several.value) if isinstance(several.value, list) else 1
        return written != len(describers)

    def _checked(self, choice: Choice, labels: Sequence[str], path: KeyPath) -> Choice:
        """Check the describer that the description `choice` names in `by`; return the description.

        If `by` names the first describer, which is the default, `by` becomes None.
        """
        if choice.by is None:
            return choice
        if _scope(choice) == "class":
            what = f'"{choice.label}" is about classes, and asks no describer'
            self.mistakes.add_at((*path, BY), what, f'Remove "{BY}".')
        elif choice.by not in labels:
            what = f'no describer of this recipe is called "{choice.by}"'
            self.mistakes.add_at((*path, BY), what, suggestion(choice.by, labels, "Its describers"))
        return replace(choice, by=None) if choice.by == labels[0] else choice


def _without_default_tag(root: Node) -> Node:
    """Drop `pretrained` if it is only a default and the model brings its own weights.

    In `pretrained: ${NAME:-TAG}`, `TAG` is a default for open_clip's models. A tag that the user
    set is kept, and an error reports it later.
    """
    backbone = root.child(BACKBONE) or Node(None, root.origin)
    model, tag = backbone.child("model"), backbone.child("pretrained")
    is_default = tag is not None and tag.origin.variables and not tag.filled
    if model and is_default and str(model.value).startswith(BRING_WEIGHTS):
        return root.replaced(BACKBONE, backbone.without(["pretrained"]))
    return root


def _choices(listed: Iterable[Listed]) -> tuple[Choice, ...]:
    return tuple(choice for choice, _ in listed)


def _scope(choice: Choice) -> str | None:
    return getattr(type(choice.options), "scope", None)
