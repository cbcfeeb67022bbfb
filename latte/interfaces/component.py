"""Base classes of components and of their options, and the `Context` that components get."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from latte.interfaces.errors import LatteError
from latte.interfaces.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from latte.interfaces.backbone import Backbone


class Options(BaseModel):
    """Base class of a component's options: unknown keys raise an error; options are immutable.

    Example:
        >>> from pydantic import Field
        >>> from latte.api import Options
        >>> class EchoOptions(Options):
        ...     words: int = Field(default=20, ge=1, description="longest text, in words")
        >>> EchoOptions(words=5).words
        5
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, validate_default=True
    )

    oracle_options: ClassVar[tuple[str, ...]] = ()
    """Names of options that, if not None, make a description use true labels of training images. A
    recipe that sets such an option must also set `oracle: true`."""

    @property
    def questions_to(self) -> str | None:
        """Name of the describer that a labeler asks about images; None if it asks no questions.

        An empty name stands for the recipe's first describer. A recipe with a labeler that asks
        questions must set `budget`.
        """
        return None

    @property
    def fewest_questions(self) -> int:
        """Smallest `budget`, except 0, with which a labeler that asks questions can work."""
        return 0

    @property
    def sends_to(self) -> str | None:
        """Address of the other machine to which the component sends data; None if there is none.

        A describer sends images and prompts, a reporter the recipe and metrics. `latte check` lists
        the files. The dataset may forbid the sending of images: see `Dataset.check_sending`.
        """
        return None


class NoOptions(Options):
    """Empty options, for a component without options.

    Example:
        >>> from latte.api import Component, NoOptions
        >>> class Plain(Component[NoOptions]):
        ...     pass
    """


@dataclass(frozen=True)
class IsPath:
    """Marks a text option as a path; the component resolves it with `Context.path`.

    A relative path in a recipe is relative to the recipe's folder. A path from an environment
    variable, as in `root: ${IMAGES}`, is relative to the folder where the command runs.

    Attributes:
        pattern: Regular expression for the whole text of the option; its group `path` must match
            the path.

    Example:
        >>> from typing import Annotated
        >>> from latte.api import IsPath, Options
        >>> class ModelOptions(Options):
        ...     model: Annotated[str, IsPath("local-dir:(?P<path>.+)")]
    """

    pattern: str = "(?P<path>.+)"


PathText = Annotated[str, IsPath()]
"""Type of an option that holds a path, as in `root: PathText`."""


OptionsT = TypeVar("OptionsT", bound=Options)


def _no_model_folder(name: str) -> Path:
    raise LatteError(f"no plugin provides a model called {name}")


@dataclass(frozen=True)
class Context:
    """Folders, device, seed and frozen CLIP of a run, which every component receives.

    Attributes:
        base_dir: Folder of the recipe; relative paths in options are relative to this folder.
        cache_dir: Cache folder of all runs; a component writes only to the subfolder with the
            component's name.
        device: A torch device, such as `cpu` or `cuda:0`.
        frozen_clip: Returns the frozen CLIP, which is loaded at the first call. Do not train it:
            all components share it.
        model_folder: Returns the model folder that a plugin registered under the given name, for
            option values such as `plugin:NAME`. Raises `LatteError` for an unknown name.
        progress: Shows the progress of long work; see `long_task`.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Backbone, Context
        >>> context = Context(Path("/recipes"), Path("/cache"), "cpu", 0, Backbone)
        >>> str(context.path("photos"))
        '/recipes/photos'
    """

    base_dir: Path
    cache_dir: Path
    device: str
    seed: int
    frozen_clip: Callable[[], Backbone]
    model_folder: Callable[[str], Path] = _no_model_folder
    progress: Progress = field(default_factory=SilentProgress)

    def path(self, path: str | Path) -> Path:
        """Return `path` as an absolute path, with `~` expanded. Relative paths start at `base_dir`.

        Declare the option as `PathText`, so that a path from an environment variable is relative to
        the folder where the command runs.
        """
        return (self.base_dir / Path(path).expanduser()).absolute()


class Component(ABC, Generic[OptionsT]):
    """Base class of all components; the engine creates one by `Class(options, context)`.

    Attributes:
        options_type: Class of the options: the type argument, such as `NoOptions` below; of a type
            variable, its bound. A subclass with other options than its base class sets it.

    Example:
        >>> from latte.api import Component, NoOptions
        >>> class Plain(Component[NoOptions]):
        ...     def folder(self):
        ...         return self.context.base_dir
        >>> Plain.options_type is NoOptions
        True
    """

    options_type: ClassVar[type[Options]] = NoOptions

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for base in vars(cls).get("__orig_bases__", ()):
            for argument in get_args(base):
                options = getattr(argument, "__bound__", argument)
                if isinstance(options, type) and issubclass(options, Options):
                    cls.options_type = NoOptions if options is Options else options

    def __init__(self, options: OptionsT, context: Context) -> None:
        self.options = options
        self.context = context

    def extras(self) -> Mapping[str, str | int | float]:
        """Return facts by name, which the run's record keeps by package, as `extras` of a stage.

        Called on labelers and prototype aggregators at the end of stage `train`, and on the guard
        at the end of stage `judge`. The page and the model card show them.
        """
        return {}
