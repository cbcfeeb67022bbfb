"""A recipe as pydantic models: every key, and every rule about several keys.

A new key is a new field here. A file may also have the key `extends` and the short forms in
`SHORT`, which are replaced before a recipe is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import suggestion
from latte.interfaces.measurements import ZERO_SHOT
from latte.interfaces.settings import (
    BackboneSettings,
    EvaluateSettings,
    OptimizerSettings,
    SeriesSettings,
    TrainSettings,
)
from latte.recipe.component import Choice, Component, Label, find_component, mistake
from latte.recipe.errors import Check
from latte.recipe.fields import KeyPath, types_at, value_at
from latte.recipe.oracle import check_oracle
from latte.recipe.places import DESCRIBERS, ENCODERS, LEARNERS, MAIN, SHORT, paths
from latte.recipe.requirements import check_requirement
from latte.registry.registry import Registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, BY, DEFAULT_BACKBONE, USE

BACKBONE = "backbone"
DEFAULT_AUGMENTATION = f"{BUILTIN_DISTRIBUTION}/random-crops"
"""Augmentation of a recipe whose section `augmentation` has no key `use`."""
_PLUGIN_MODEL = "plugin:"


def _required(requirement: str) -> str:
    try:
        check_requirement(requirement)
    except LatteError as error:
        raise mistake(error.what, error.hint) from error
    return requirement


def _default(default: Any, description: str, **schema: Any) -> Any:
    """Return a field whose default is plain data, as a recipe would write it."""
    return Field(default=default, description=description, json_schema_extra=schema)


class LearnerChoice(Options):
    """One learner: an adapted copy of the backbone."""

    name: Label = Field(default=MAIN, description="used in metrics and file names")
    optimizer: OptimizerSettings | None = Field(
        default=None, description="in place of train.optimizer"
    )
    trainable: Annotated[Choice, Component("trainable")] = _default(
        {USE: "all"}, "parameters that are trained"
    )
    prototypes: Annotated[Choice, Component("prototypes")] = _default(
        {USE: "templates"}, "vectors that stand for the classes"
    )
    loss: Annotated[Choice, Component("loss")] | None = Field(
        default=None, description="needed by recipes with training steps"
    )


class SharedKeys(Options):
    """Keys that the controls of a recipe inherit from it, and cannot set."""

    name: str = Field(
        default="",
        description="name of the run, part of its folder's name; default: the recipe's file name",
        pattern=r"^[A-Za-z0-9._-]*$",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="one seed for everything random")
    output: str = Field(
        default="runs",
        description="folder in which run folders are created; a relative path is relative to the "
        "current folder",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N or mps")
    deterministic: bool = Field(
        default=False,
        description="bit-identical results on a GPU by torch's deterministic algorithms, which are "
        "slower. Operations without such an algorithm raise an error. CPU runs are always "
        "bit-identical",
    )
    requires: tuple[Annotated[str, AfterValidator(_required)], ...] = Field(
        default=(), description='plugin packages this recipe needs, like "latte-tiny>=0.1"'
    )
    budget: int | None = Field(
        default=None,
        ge=0,
        description="largest number of questions that a labeler asks a describer; needed by "
        "labelers that ask",
    )
    corrections: str | tuple[str, ...] | None = Field(
        default=None,
        description="classes that a person gave to images, used as labels: the review.jsonl of a "
        "run, a table with the columns path and class, a folder per class, an export of Label "
        "Studio or FiftyOne, or a list of these, of which a later one corrects an earlier one",
    )
    series: SeriesSettings = Field(
        default=SeriesSettings(), description="sets of images that count once, such as bursts"
    )


class RecipeKeys(SharedKeys):
    """All keys of a complete recipe, and the rules about several keys.

    Rules are `model_validator`s that report mistakes to `info.context`. They also run on a recipe
    with other mistakes: `Component.unreadable` stands for its wrong parts.
    """

    oracle: bool = Field(
        default=False,
        description="this recipe may use ground-truth labels of training images; only for "
        "ablations, never for results",
    )
    backbone: Annotated[Choice, Component("backbone", DEFAULT_BACKBONE)] = Field(
        description="the CLIP to adapt",
        examples=["{model: ViT-B-32, pretrained: laion2b_s34b_b79k}"],
    )
    encoders: tuple[Annotated[Choice, Component("encoder")], ...] = Field(
        default=(),
        description="image-only models beside the CLIP, which are never trained; labelers may use "
        "their features",
    )
    dataset: Annotated[Choice, Component("dataset")] = Field(
        description="images and class names",
        examples=["{use: folder, root: FOLDER, classes: FILE}"],
    )
    guard: Annotated[Choice, Component("guard")] | None = Field(
        default=None, description="decides how far the run uses the adapted model"
    )
    describers: tuple[Annotated[Choice, Component("describer")], ...] = Field(
        default=(), description="the first is asked by descriptions without the key `by`"
    )
    descriptions: tuple[Annotated[Choice, Component("description")], ...] = Field(
        default=(), description="kinds of texts about classes, images and groups of images"
    )
    gates: tuple[Annotated[Choice, Component("gate")], ...] = Field(
        default=(), description="hold back unusable texts"
    )
    labels: tuple[Annotated[Choice, Component("labeler")], ...] = Field(
        default=(), description="assign pseudo-labels; needed by recipes with training steps"
    )
    learners: tuple[LearnerChoice, ...] = _default(
        [{}], "adapted copies of the backbone", minItems=1
    )
    augmentation: Annotated[Choice, Component("augmentation", DEFAULT_AUGMENTATION)] | None = (
        _default(
            {USE: "random-crops"}, "random views of training images; null: the evaluation view"
        )
    )
    train: TrainSettings = Field(default=TrainSettings(), description="length and method")
    evaluate: EvaluateSettings = Field(
        default=EvaluateSettings(), description="encoding and classification after training"
    )
    reporters: tuple[Annotated[Choice, Component("reporter")], ...] = _default(
        [{USE: "html"}, {USE: "model-card"}], "what is written about a finished run"
    )

    @model_validator(mode="after")
    def _models_of_plugins_are_installed(self, info: ValidationInfo) -> Self:
        check, options = _check(info), self.backbone.options
        if isinstance(options, BackboneSettings) and options.model.startswith(_PLUGIN_MODEL):
            try:
                name = options.model.removeprefix(_PLUGIN_MODEL)
                find_component(check.registry, "model", name)
            except LatteError as error:
                check.add((BACKBONE, "model"), error.what, error.hint)
        return self

    @model_validator(mode="after")
    def _items_of_a_list_have_different_names(self, info: ValidationInfo) -> Self:
        """Refuse a name that occurs twice: results and files are named after components."""
        lists = {
            key: [choice.label for choice in getattr(self, key)]
            for key in type(self).model_fields
            if component_at((key, 0))
        }
        lists[LEARNERS] = [learner.name for learner in self.learners]
        for key, names in lists.items():
            first_index = {name: index for index, name in reversed([*enumerate(names)])}
            for index, name in enumerate(names):
                if name and first_index[name] < index:
                    _check(info).add(
                        (key, index),
                        f'a second item of this list is called "{name}"',
                        "Give it a name of its own, as in: name: second",
                    )
        return self

    @model_validator(mode="after")
    def _encoders_and_learners_have_different_names(self, info: ValidationInfo) -> Self:
        """Refuse an encoder with a learner's name: classifiers have the names of both."""
        taken = {learner.name for learner in self.learners} | {ZERO_SHOT}
        for index, encoder in enumerate(self.encoders):
            if encoder.label in taken:
                _check(info).add(
                    (ENCODERS, index),
                    f'a learner is called "{encoder.label}", too',
                    "Give the encoder another name, as in: name: eyes",
                )
        return self

    @model_validator(mode="after")
    def _training_needs_learners_labels_and_a_loss(self, info: ValidationInfo) -> Self:
        check = _check(info)
        if not self.learners:
            check.add((LEARNERS,), "needs at least one learner")
        if check.is_wrong("train") or not self.train.takes_steps:
            return self
        if not self.labels and not check.is_wrong("labels"):
            check.add(
                ("labels",),
                "training needs pseudo-labels, and there are none",
                "Add labels: [frozen, current], or train: {max_steps: 0} to train nothing.",
            )
        for index, learner in enumerate(self.learners):
            if learner.loss is None and not check.is_wrong(LEARNERS):
                check.add(
                    (LEARNERS, index, "loss"),
                    'training needs a loss, and the key "loss" is missing',
                    "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
                )
        return self

    @model_validator(mode="after")
    def _descriptions_have_a_describer(self, info: ValidationInfo) -> Self:
        """Refuse descriptions that ask an unknown describer, or one where there is none.

        Without a describer, one mistake is reported: for the first description that needs one.
        """
        check, names = _check(info), self._describer_names
        lacks_describer = not (self.describers or check.is_wrong(DESCRIBERS))
        for index, choice in enumerate(self.descriptions):
            path = ("descriptions", index)
            if choice.by is not None and choice.scope == "class":
                what = f'"{choice.label}" is about classes, and asks no describer'
                check.add((*path, BY), what, f'Remove "{BY}".')
            elif lacks_describer and choice.scope in ("image", "group"):
                check.add(
                    path,
                    f'"{choice.label}" is about images, and there is no describer to look at them',
                    "Add describer: phrases, or another: latte components describer",
                )
                break
            elif choice.by is not None and names and choice.by not in names:
                what = f'no describer of this recipe is called "{choice.by}"'
                check.add((*path, BY), what, suggestion(choice.by, names, "Its describers"))
        return self

    @model_validator(mode="after")
    def _questions_have_a_describer_and_a_budget(self, info: ValidationInfo) -> Self:
        check, names = _check(info), self._describer_names
        asking = [
            index
            for index, labeler in enumerate(self.labels)
            if labeler.options.questions_to is not None
        ]
        if not asking:
            return self
        path, choice = ("labels", asking[0]), self.labels[asking[0]]
        name = choice.options.questions_to
        if len(asking) > 1:
            what = "only one labeler of a recipe may ask questions, as there is one budget"
            check.add(("labels", asking[1]), what, "Remove one of them.")
        if not self.describers and not check.is_wrong(DESCRIBERS):
            what = f'"{choice.label}" asks questions about images, and there is no describer'
            check.add(path, what, "Add one that answers: latte components describer")
        elif name and names and name not in names:
            what = f'no describer of this recipe is called "{name}"'
            check.add((*path, "describer"), what, suggestion(name, names, "Its describers"))
        if self.budget is None and not check.is_wrong("budget"):
            what = f'"{choice.label}" asks questions, and the key "budget" is missing'
            hint = "Add the largest number of questions, as in budget: 300."
            check.add(path, what, hint)
        return self

    @model_validator(mode="after")
    def _oracle_is_set_if_true_labels_are_used(self, info: ValidationInfo) -> Self:
        check_oracle(_check(info), self.descriptions, oracle=self.oracle)
        return self

    @model_validator(mode="after")
    def _budget_has_a_labeler_that_obeys_it(self, info: ValidationInfo) -> Self:
        """Refuse a budget if no labeler asks questions: a budget does not limit descriptions.

        Controls are not checked, because they inherit the recipe's budget. If the recipe has other
        mistakes, nothing is reported, because a labeler with mistakes may ask questions.
        """
        check = _check(info)
        described = [
            description.label for description in self.descriptions if description.scope != "class"
        ]
        obeys = any(labeler.options.questions_to is not None for labeler in self.labels)
        is_set = self.budget is not None and not check.is_control
        if obeys or not (is_set and described and self.describers) or check.has_mistakes():
            return self
        askers = ", ".join(_askers(check.registry)) or "none is installed"
        check.add(
            ("budget",),
            '"budget" limits the questions of a labeler, and no labeler here asks any: requests '
            f'for the description "{described[0]}" have no limit',
            "Write budget: null, and count the requests with latte describe RECIPE --dry-run; or "
            f"add a labeler that obeys a budget: {askers}",
        )
        return self

    @model_validator(mode="after")
    def _first_describer_is_the_default(self) -> Self:
        """Leave out `by` where it names the first describer: both mean the same run."""
        default = self.describers[0].label if self.describers else None
        descriptions = [
            replace(description, by=None) if description.by == default else description
            for description in self.descriptions
        ]
        return self.model_copy(update={"descriptions": tuple(descriptions)})

    @property
    def _describer_names(self) -> list[str]:
        """Names of the describers; empty if the name of one is not known."""
        names = [describer.label for describer in self.describers]
        return names if all(names) else []


class Recipe(RecipeKeys):
    """A recipe that was read from a file: its keys, and what is known beside them."""

    path: Path
    controls: Mapping[str, Recipe] = {}
    """Variants of the recipe that run for comparison, by name; they have no controls themselves."""
    resolved: Mapping[str, Any] = {}
    """The complete recipe with every default as plain data, which can be loaded as a recipe."""
    origins: Mapping[str, str] = {}
    """Origin of each value by dotted key path: `file:line`, `--set` or `default`, then the
    environment variables that were expanded in the value, such as `${VAR}`."""
    bases: tuple[Path, ...] = ()
    """Files that the recipe extends, directly or through another file."""
    saved_in: Path | None = None
    """The file in a run folder from which the recipe was loaded; None for a recipe of its own."""

    @property
    def base_dir(self) -> Path:
        """Folder to which paths in options are relative."""
        return self.path.parent

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All components of the recipe, of all kinds; components of controls are not included."""
        return tuple(_choices(getattr(self, name) for name in RecipeKeys.model_fields))

    @property
    def encoder_names(self) -> tuple[str, ...]:
        """Names of the encoders, in the recipe's order."""
        return tuple(encoder.label for encoder in self.encoders)

    @property
    def asked(self) -> dict[str, str]:
        """Name of each description, mapped to the name of the describer that writes its texts."""
        default = next((describer.label for describer in self.describers), None)
        asked = {choice.label: choice.by or default for choice in self.descriptions}
        return {label: describer for label, describer in asked.items() if describer}

    @property
    def questioned(self) -> Choice | None:
        """Describer that a labeler asks questions; None if no labeler asks questions."""
        names = [labeler.options.questions_to for labeler in self.labels]
        name = next((name_asked for name_asked in names if name_asked is not None), None)
        return next(
            (describer for describer in self.describers if name in ("", describer.label)), None
        )


SHARED = tuple(SharedKeys.model_fields)
CONTROL_KEYS = tuple(key for key in RecipeKeys.model_fields if key not in SHARED)
"""Keys that a control may change."""


TOP_KEYS = (*RecipeKeys.model_fields, *SHORT, "controls", "extends")
"""All keys at the top of a recipe's file."""


def component_at(path: KeyPath) -> Component | None:
    """Return the component that belongs at the key path `path`; None if none does."""
    below = path[2:] if path[:1] == ("controls",) else path
    return _component_at(tuple(0 if isinstance(key, int) else key for key in below))


@lru_cache(maxsize=1000)
def _component_at(path: KeyPath) -> Component | None:
    types = types_at([RecipeKeys], path)
    return next((mark for mark in types if isinstance(mark, Component)), None)


def component_above(path: KeyPath) -> tuple[KeyPath, Component] | None:
    """Return the key path of the component to which the value at `path` belongs, and its kind."""
    for end in range(1, len(path) + 1):
        if component := component_at(path[:end]):
            return path[:end], component
    return None


def component_paths(data: Any) -> Iterator[tuple[KeyPath, Component]]:
    """Yield the key paths at which the plain data of a recipe name components."""
    for path in paths(data):
        if (component := component_at(path)) and value_at(data, path) is not None:
            yield path, component


def _check(info: ValidationInfo) -> Check:
    assert isinstance(info.context, Check), "a recipe is checked by load_recipe"
    return info.context


def _choices(values: Iterable[object]) -> Iterator[Choice]:
    for value in values:
        if isinstance(value, Choice):
            yield value
        elif isinstance(value, LearnerChoice):
            yield from _choices((value.trainable, value.prototypes, value.loss))
        elif isinstance(value, tuple):
            yield from _choices(value)


def _askers(registry: Registry) -> Iterator[str]:
    """Yield the names of installed labelers that ask questions; skip broken plugins."""
    for registered in registry.all("labeler"):
        with suppress(LatteError):
            model = registry.options_model(registered)
            if model.questions_to is not Options.questions_to:
                yield registered.spec.name
