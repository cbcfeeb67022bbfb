"""Reporter `model-card`: the model card of a run."""

from __future__ import annotations

from pathlib import Path

from latte.api import NoOptions, Reporter, RunResults, model_card, write_text


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: model, data, method, measurements and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the card and return its path."""
        path = results.folder / "model" / "README.md"
        write_text(path, model_card(results))
        return [path]
