"""A recipe as pydantic models: every key, with its type, default and description.

A new key is a new field here. A file may also have the key `extends` and the short forms in
`SHORT`, which are replaced before a recipe is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from latte.interfaces import LatteError, Options
from latte.interfaces.settings import (
    EvaluateSettings,
    OptimizerSettings,
    SeriesSettings,
    SpendingSettings,
    TrainSettings,
)
from latte.recipe.component import ChosenComponent, ComponentField, ItemLabel, mistake, written_name
from latte.recipe.fields import types_at
from latte.recipe.places import LEARNERS, MAIN, SHORT, KeyPath, paths, value_at
from latte.recipe.requirements import check_requirement
from latte.registry.registry import Registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, DEFAULT_BACKBONE, USE

BACKBONE = "backbone"
DEFAULT_AUGMENTATION = f"{BUILTIN_DISTRIBUTION}/random-crops"
"""Augmentation of a recipe whose section `augmentation` has no key `use`."""


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

    name: ItemLabel = Field(default=MAIN, description="used in metrics and file names")
    optimizer: OptimizerSettings | None = Field(
        default=None, description="in place of train.optimizer"
    )
    trainable: Annotated[ChosenComponent, ComponentField("trainable")] = _default(
        {USE: "all"}, "parameters that are trained"
    )
    prototypes: Annotated[ChosenComponent, ComponentField("prototypes")] = _default(
        {USE: "templates"}, "vectors that stand for the classes"
    )
    loss: Annotated[ChosenComponent, ComponentField("loss")] | None = Field(
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
    spending: SpendingSettings | None = Field(
        default=None,
        description="prices of describers' tokens, and a limit of the cost, which a run tells "
        "after ten requests",
    )
    corrections: str | tuple[str, ...] | None = Field(
        default=None,
        description="classes that a person gave to images, used as labels: the review.jsonl of "
        "reviews, a table with the columns path and class, a folder per class, an export of Label "
        "Studio or FiftyOne, or a list of these, of which a later one corrects an earlier one; "
        "answers of a model, too: the model_answers.jsonl of a run",
    )
    series: SeriesSettings = Field(
        default=SeriesSettings(), description="sets of images that count once, such as bursts"
    )


class RecipeKeys(SharedKeys):
    """All keys of a complete recipe; `latte.recipe.rules` has the rules about several keys."""

    oracle: bool = Field(
        default=False,
        description="this recipe may use ground-truth labels of training images; only for "
        "ablations, never for results",
    )
    backbone: Annotated[ChosenComponent, ComponentField("backbone", DEFAULT_BACKBONE)] = Field(
        description="the CLIP to adapt",
        examples=["{model: ViT-B-32, pretrained: laion2b_s34b_b79k}"],
    )
    encoders: tuple[Annotated[ChosenComponent, ComponentField("encoder")], ...] = Field(
        default=(),
        description="image-only models beside the CLIP, which are never trained; labelers may use "
        "their features",
    )
    dataset: Annotated[ChosenComponent, ComponentField("dataset")] = Field(
        description="images and class names",
        examples=["{use: folder, root: FOLDER, classes: FILE}"],
    )
    guard: Annotated[ChosenComponent, ComponentField("guard")] | None = Field(
        default=None, description="decides how far the run uses the adapted model"
    )
    describers: tuple[Annotated[ChosenComponent, ComponentField("describer")], ...] = Field(
        default=(), description="the first is asked by descriptions without the key `by`"
    )
    descriptions: tuple[Annotated[ChosenComponent, ComponentField("description")], ...] = Field(
        default=(), description="kinds of texts about classes, images and groups of images"
    )
    gates: tuple[Annotated[ChosenComponent, ComponentField("gate")], ...] = Field(
        default=(), description="hold back unusable texts"
    )
    labels: tuple[Annotated[ChosenComponent, ComponentField("labeler")], ...] = Field(
        default=(), description="assign pseudo-labels; needed by recipes with training steps"
    )
    learners: tuple[LearnerChoice, ...] = _default(
        [{}], "adapted copies of the backbone", minItems=1
    )
    augmentation: (
        Annotated[ChosenComponent, ComponentField("augmentation", DEFAULT_AUGMENTATION)] | None
    ) = _default(
        {USE: "random-crops"}, "random views of training images; null: the evaluation view"
    )
    train: TrainSettings = Field(default=TrainSettings(), description="length and method")
    evaluate: EvaluateSettings = Field(
        default=EvaluateSettings(), description="encoding and classification after training"
    )
    reporters: tuple[Annotated[ChosenComponent, ComponentField("reporter")], ...] = _default(
        [{USE: "html"}, {USE: "model-card"}], "what is written about a finished run"
    )


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
    def choices(self) -> tuple[ChosenComponent, ...]:
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
        describers = {choice.label: choice.by or default for choice in self.descriptions}
        return {label: describer for label, describer in describers.items() if describer}

    @property
    def questioned(self) -> ChosenComponent | None:
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


def component_at(path: KeyPath) -> ComponentField | None:
    """Return the component that belongs at the key path `path`; None if none does.

    An item of a list may be named in place of its index, as in `labels.frozen`.
    """
    below = path[2:] if path[:1] == ("controls",) else path
    if len(below) > 1 and below[0] in LISTS:
        below = (below[0], 0, *below[2:])
    return _component_at(tuple(0 if isinstance(key, int) else key for key in below))


@lru_cache(maxsize=1000)
def _component_at(path: KeyPath) -> ComponentField | None:
    types = types_at([RecipeKeys], path)
    return next((mark for mark in types if isinstance(mark, ComponentField)), None)


LISTS = (LEARNERS, *(key for key in RecipeKeys.model_fields if _component_at((key, 0))))
"""Keys of lists of components and learners, whose items have names."""


def component_name(value: Mapping[str, Any], path: KeyPath, registry: Registry) -> str | None:
    """Return the unique name of the component that `value` at `path` names; None for none."""
    component, use = component_at(path), value.get(USE)
    if component is None or not isinstance(use, str):
        return None
    for registered in registry.all(component.kind):
        if use in (registered.spec.name, registered.full_name):
            return written_name(registry, registered)
    return use


def component_above(path: KeyPath) -> tuple[KeyPath, ComponentField] | None:
    """Return the key path of the component to which the value at `path` belongs, and its kind."""
    for end in range(1, len(path) + 1):
        if component := component_at(path[:end]):
            return path[:end], component
    return None


def component_paths(data: Any) -> Iterator[tuple[KeyPath, ComponentField]]:
    """Yield the key paths at which the plain data of a recipe name components."""
    for path in paths(data):
        is_named_item = len(path) > 1 and path[0] in LISTS and isinstance(path[1], str)
        component = component_at(path)
        if component and not is_named_item and value_at(data, path) is not None:
            yield path, component


def _choices(values: Iterable[object]) -> Iterator[ChosenComponent]:
    for value in values:
        if isinstance(value, ChosenComponent):
            yield value
        elif isinstance(value, LearnerChoice):
            yield from _choices((value.trainable, value.prototypes, value.loss))
        elif isinstance(value, tuple):
            yield from _choices(value)
