"""What every component shares: validated options and the context that it runs in."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from latte.interfaces.errors import LatteError

if TYPE_CHECKING:
    from latte.interfaces.backbone import Backbone


class Options(BaseModel):
    """Base of a component's options: an unknown key is an error, and options never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    oracle_options: ClassVar[tuple[str, ...]] = ()
    """Options of a description that use ground-truth labels of training images, unless they are
    None: a recipe without `oracle: true` is refused where one is set."""


class NoOptions(Options):
    """For components that have nothing to set."""


@dataclass(frozen=True)
class IsPath:
    """Marks the text of an option as a path, for `Context.path` to open.

    A relative path in a recipe starts at the recipe's folder. One that the environment fills, as in
    `root: ${IMAGES}`, starts at the folder where the command runs: marked options get it absolute.
    """

    pattern: str = "(?P<path>.+)"
    """Matches the whole text where it holds a path, which is the group `path`."""


PathText = Annotated[str, IsPath()]
"""An option that holds a path, as in `root: PathText`."""


OptionsT = TypeVar("OptionsT", bound=Options)


def _no_model_folder(name: str) -> Path:
    raise LatteError(f"no plugin provides a model called {name}")


@dataclass(frozen=True)
class Context:
    """What a component may know about the run that it serves."""

    base_dir: Path
    """Folder of the recipe: relative paths in options start here."""
    cache_dir: Path
    """Kept across runs; a component writes only below a folder of its own name."""
    device: str
    """A torch device, such as `cpu` or `cuda:0`."""
    seed: int
    frozen_clip: Callable[[], Backbone]
    """The zero-shot CLIP, loaded at the first call and shared: never train it."""
    model_folder: Callable[[str], Path] = _no_model_folder
    """The folder of the model that a plugin registered under a name, for an option that may say
    `plugin:NAME`. Raises `LatteError` for a name that nobody registered."""

    def path(self, path: str | Path) -> Path:
        """`path` as an absolute path, relative to the recipe's folder, `~` expanded.

        Mark the option with `PathText`, so that a path from the environment starts at the shell's.
        """
        return (self.base_dir / Path(path).expanduser()).absolute()


class Component(ABC, Generic[OptionsT]):
    """Anything that a recipe can name: built as `Class(options, context)`, and nothing else."""

    def __init__(self, options: OptionsT, context: Context) -> None:
        self.options = options
        self.context = context
