"""List of predictions that converts to a table of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from latte.evaluate.predictions import PLAIN, Columns, Prediction, table_rows
from latte.interfaces import LatteError


class Predictions(list[Prediction]):
    """Predictions of images, in their order."""

    def __init__(self, columns: Columns = PLAIN, rows: Iterable[Prediction] = ()) -> None:
        super().__init__(rows)
        self._columns = columns

    def to_frame(self) -> Any:
        """Return a pandas `DataFrame` with the columns of `latte predict`.

        The columns are `image`, `source`, `match` (if estimated), `class_1`, `score_1`, and so
        on. Raises `LatteError` if pandas is not installed.

        Example:
            >>> model.predict("photos").to_frame()[["image", "class_1"]]  # doctest: +SKIP
        """
        try:
            tables: Any = import_module("pandas")
        except ImportError as error:
            hint = "pip install pandas"
            raise LatteError("pandas is not installed", where="to_frame", hint=hint) from error
        header, *rows = table_rows(self, self._columns)
        return tables.DataFrame(rows, columns=header)
