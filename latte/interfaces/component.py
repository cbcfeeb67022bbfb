"""Base class of all components, their options and the context that they run in."""

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
    """Base of a component's options: an unknown key is an error, and options are immutable.

    Example:
        >>> from pydantic import Field
        >>> from latte.api import Options
        >>> class EchoOptions(Options):
        ...     words: int = Field(default=20, ge=1, description="longest text, in words")
        >>> EchoOptions(words=5).words
        5
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    oracle_options: ClassVar[tuple[str, ...]] = ()
    """Names of options of a description that use true labels of training images when they are not
    None. A recipe that sets one is refused unless it says `oracle: true`."""


class NoOptions(Options):
    """Options of a component that has none.

    Example:
        >>> from latte.api import Component, NoOptions
        >>> class Plain(Component[NoOptions]):
        ...     pass
    """


@dataclass(frozen=True)
class IsPath:
    """Marks a text option as a path, which the component opens with `Context.path`.

    A relative path in a recipe starts at the recipe's folder. A path from an environment variable,
    as in `root: ${IMAGES}`, starts at the folder where the command runs: a marked option gets it as
    an absolute path.

    Example:
        >>> from typing import Annotated
        >>> from latte.api import IsPath, Options
        >>> class ModelOptions(Options):
        ...     model: Annotated[str, IsPath("local-dir:(?P<path>.+)")]
    """

    pattern: str = "(?P<path>.+)"
    """Regular expression for the whole text; its group `path` is the path."""


PathText = Annotated[str, IsPath()]
"""An option that holds a path, as in `root: PathText`."""


OptionsT = TypeVar("OptionsT", bound=Options)


def _no_model_folder(name: str) -> Path:
    raise LatteError(f"no plugin provides a model called {name}")


@dataclass(frozen=True)
class Context:
    """Facts about a run that its components may use.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Context
        >>> from latte.testing import StubClip
        >>> context = Context(Path("/recipes"), Path("/cache"), "cpu", 0, StubClip)
        >>> str(context.path("photos"))
        '/recipes/photos'
    """

    base_dir: Path
    """Folder of the recipe: relative paths in options start here."""
    cache_dir: Path
    """Folder that outlives runs; a component writes only below a subfolder of its own name."""
    device: str
    """A torch device, such as `cpu` or `cuda:0`."""
    seed: int
    frozen_clip: Callable[[], Backbone]
    """Returns the zero-shot CLIP, loaded at the first call and shared: never train it."""
    model_folder: Callable[[str], Path] = _no_model_folder
    """Returns the folder of the model that a plugin registered under a name, for an option that may
    say `plugin:NAME`. Raises `LatteError` for a name that no plugin registered."""

    def path(self, path: str | Path) -> Path:
        """Return `path` as an absolute path; it starts at the recipe's folder, and `~` is expanded.

        Give the option the type `PathText`: a path from an environment variable then starts at the
        folder where the command runs.
        """
        return (self.base_dir / Path(path).expanduser()).absolute()


class Component(ABC, Generic[OptionsT]):
    """Base of everything that a recipe can name; the engine builds it as `Class(options, context)`.

    Example:
        >>> from latte.api import Component, NoOptions
        >>> class Plain(Component[NoOptions]):
        ...     def folder(self):
        ...         return self.context.base_dir
    """

    def __init__(self, options: OptionsT, context: Context) -> None:
        self.options = options
        self.context = context
