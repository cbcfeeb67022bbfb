"""The model card of a run."""

from __future__ import annotations

from pathlib import Path

from latte.api import NoOptions, Reporter, RunResults, model_card, write_text


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: what the model is, its data, method, numbers and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the card; see `Reporter`."""
        path = results.folder / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
