"""Types whose values are checked when they are created, also from the file of a run's results."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

ROUNDING = 1e-9
"""Largest accepted error of rounding in a share or an interval."""

CHECKED = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)
"""Settings of a type with checks: values have their exact types, and numbers are finite."""

Count = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Share = Annotated[float, Field(ge=-ROUNDING, le=1 + ROUNDING)]
"""A fraction between 0 and 1."""


class Checked(BaseModel):
    """Base class of the parts of a run's record: frozen, and without unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )
