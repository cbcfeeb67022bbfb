"""The workspace of a run: recipe, folder, device, reporters, and components built on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from latte import distributed
from latte.interfaces import (
    Backbone,
    BackboneLoader,
    Component,
    Context,
    Dataset,
    Encoder,
    EncoderLoader,
    LatteError,
    Progress,
)
from latte.interfaces.progress import SilentProgress
from latte.interfaces.provider import blaming, note_provider, provider_of
from latte.io.device import find_device
from latte.io.environment import cache_folder
from latte.recipe.component import ChosenComponent
from latte.recipe.model import Recipe
from latte.registry.discovery import plugin_code
from latte.registry.registry import Registry
from latte.results.folder import RunFolder
from latte.run.identity import run_hash
from latte.run.listeners import Listeners

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from latte.backbone.precision import Arithmetic
    from latte.data.disk_cache import DiskStore


def description_folder() -> Path:
    """Return the folder of the descriptions that are stored for all runs."""
    return cache_folder() / "descriptions"


def run_folder(recipe: Recipe, limit: int | None, output: Path | None = None) -> RunFolder:
    """Return the run folder of a recipe; its name contains a hash of the recipe."""
    parent = output or Path(recipe.output).expanduser()
    return RunFolder(parent.absolute() / f"{recipe.name}-{run_hash(recipe, limit)}")


@dataclass(eq=False, repr=False)
class Workspace:
    """The recipe, folder, device and components that the stages of one run share."""

    recipe: Recipe
    registry: Registry
    progress: Progress
    folder: RunFolder
    limit: int | None = None
    """Largest number of training images and of evaluation images to use; None means all."""
    parent: Workspace | None = None
    """For a control: the workspace of the run that it belongs to."""
    quiet: Progress = field(default_factory=SilentProgress)
    """Progress of components that show none."""
    extras: dict[str, dict[str, str | int | float]] = field(default_factory=dict, init=False)
    """Facts of components by package, for the run's record; see `note_extras`."""

    def control(self, recipe: Recipe, folder: RunFolder) -> Workspace:
        """Return the workspace of a control.

        It shares the image cache with this workspace, and the frozen CLIP if both use the same.
        """
        return replace(self, recipe=recipe, folder=folder, parent=self)

    @property
    def seed(self) -> int:
        """The seed from which all random choices are derived."""
        return self.recipe.seed

    @cached_property
    def device(self) -> str:
        """The torch device of this process. Raises `LatteError` if this machine lacks it."""
        return find_device(distributed.local_device(self.recipe.device))

    @cached_property
    def context(self) -> Context:
        """The context that components receive when they are built."""
        recipe, registry = self.recipe, self.registry
        context = component_context(recipe, registry, self.device, lambda: self.frozen_clip)
        return replace(context, progress=self.progress)

    @cached_property
    def backbone(self) -> BackboneLoader[Any]:
        """The loader of the recipe's backbone."""
        return cast("BackboneLoader[Any]", self.build(self.recipe.backbone))

    @cached_property
    def frozen_clip(self) -> Backbone:
        """The frozen CLIP, loaded at its first use."""
        if self.parent and self.shares_clip(self.parent):
            return self.parent.frozen_clip
        self.progress.say(f"loading {self.backbone.title}")
        return _provided(self.backbone, self.backbone.load(), Backbone)

    @cached_property
    def encoder_loaders(self) -> dict[str, EncoderLoader[Any]]:
        """The loader of each of the recipe's encoders, by name."""
        return {choice.label: self.build(choice) for choice in self.recipe.encoders}

    @cached_property
    def encoders(self) -> dict[str, Encoder]:
        """The recipe's encoders by name, loaded at the first use of this property."""
        parent = self.parent
        if parent and self.shares_clip(parent) and self.recipe.encoders == parent.recipe.encoders:
            return parent.encoders
        return {name: self._load_encoder(name) for name in self.encoder_loaders}

    def _load_encoder(self, name: str) -> Encoder:
        loader = self.encoder_loaders[name]
        self.progress.say(f"loading {loader.title}")
        with naming_encoder(name):
            return _provided(loader, loader.load(), Encoder)

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """Number format, such as bf16, in which a GPU runs the image tower and the text tower."""
        import torch

        from latte.backbone.precision import choose_arithmetic

        return choose_arithmetic(self.recipe.train.precision, torch.device(self.device))

    def encoding(self) -> AbstractContextManager[Any]:
        """Return a context manager in which the frozen CLIP encodes without gradient."""
        import torch

        from latte.backbone.precision import encoding_in

        return encoding_in(self.arithmetic, torch.device(self.device))

    def frozen_model(self, encoder: str | None = None) -> Encoder:
        """Return the encoder of this name, or the frozen CLIP."""
        return self.frozen_clip if encoder is None else self.encoders[encoder]

    def feature_identity(self, encoder: str | None = None) -> tuple[str, ...]:
        """Return model, plugin code, GPU and number format, on which frozen features depend."""
        import torch

        from latte.backbone.precision import arithmetic_identity

        choices = {choice.label: choice for choice in self.recipe.encoders}
        choice = self.recipe.backbone if encoder is None else choices[encoder]
        code = plugin_code(choice)
        identity = (self.frozen_model(encoder).fingerprint, *([code] if code else []))
        return (*identity, *arithmetic_identity(self.arithmetic, torch.device(self.device)))

    def shares_clip(self, parent: Workspace) -> bool:
        """Return True if both workspaces use the same frozen CLIP, on the same device."""
        recipe, parent_recipe = self.recipe, parent.recipe
        same_place = (recipe.base_dir, self.device) == (parent_recipe.base_dir, parent.device)
        return same_place and recipe.backbone == parent_recipe.backbone

    @cached_property
    def pixels(self) -> DiskStore:
        """Cache of decoded images on disk; a control shares it with the run that it belongs to."""
        if self.parent:
            return self.parent.pixels
        from latte.data.disk_cache import DiskStore, bound_from_environment

        folder = self.context.cache_dir / "pixels"
        return DiskStore(folder, bound_from_environment(), self.progress.say)

    @cached_property
    def dataset(self) -> Dataset[Any]:
        """The recipe's dataset."""
        return cast("Dataset[Any]", self.build(self.recipe.dataset))

    @cached_property
    def listeners(self) -> Listeners:
        """The recipe's reporters; none in control runs, and none outside the main process."""
        silent = self.parent is not None or not distributed.is_main_process()
        choices = [] if silent else self.recipe.reporters
        return Listeners([(choice.label, self.build(choice)) for choice in choices], self.progress)

    def note_extras(self, choice: ChosenComponent, component: Component[Any]) -> None:
        """Add the facts of a component that was built from `choice`."""
        if extras := component.extras():
            self.extras.setdefault(choice.distribution, {}).update(extras)

    def build(self, choice: ChosenComponent, options: Any = None, *, silent: bool = False) -> Any:
        """Build the component that `choice` names; if given, `options` replace its options.

        If `silent` is true, the component shows no progress.
        """
        context = replace(self.context, progress=self.quiet) if silent else self.context
        return self.registry.build(choice, options or choice.options, context)


ModelT = TypeVar("ModelT", bound=Encoder)


def _provided(loader: Component[Any], model: ModelT, kind: type[Any]) -> ModelT:
    """Return the model that `loader` loaded, and note its package. Raises `LatteError` for none."""
    with blaming(loader, "its model"):
        if not isinstance(model, kind):
            raise ValueError(f"it is of type {type(model).__name__}, not {kind.__name__}")
    note_provider(model, provider_of(loader))
    return model


@contextmanager
def naming_encoder(name: str | None) -> Iterator[None]:
    """Name the encoder, if there is a name, in each `LatteError` of the block without a place."""
    try:
        yield
    except LatteError as error:
        where = error.where or (name and f"encoder {name}")
        raise LatteError(error.what, where=where, hint=error.hint) from error


def component_context(
    recipe: Recipe, registry: Registry, device: str, clip: Callable[[], Backbone]
) -> Context:
    """Return the context in which components of a recipe are built, on `device`."""
    base, seed = recipe.base_dir.absolute(), recipe.seed
    return Context(base, cache_folder(), device, seed, clip, registry.model_folder)
