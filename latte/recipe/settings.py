"""Read YAML files of settings that are no recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from latte.recipe.document import read_document
from latte.recipe.errors import Check
from latte.recipe.fields import model_of

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_settings(path: Path, model: type[ModelT]) -> ModelT:
    """Read a YAML file of settings. Raises `LatteError` that lists every mistake with its line.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Options
        >>> from latte.api.runs import read_settings
        >>> class Trip(Options):
        ...     days: int
        >>> _ = Path("trip.yaml").write_text("days: 3")
        >>> read_settings(Path("trip.yaml"), Trip).days
        3
    """
    check = Check(read_document(path))
    try:
        return model_of(model, check.document.data)
    except ValidationError as error:
        check.report(error)
    check.mistakes.raise_if_any()
    raise AssertionError("whatever is wrong with a file is reported")
