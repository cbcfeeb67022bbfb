"""The reference of recipes and components, written from their schemas each time pages are built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latte.cli.components import default_in_words, option_rows
from latte.interfaces import Options
from latte.interfaces.settings import (
    BackboneSettings,
)
from latte.recipe.model import RecipeKeys
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import KINDS

SECTIONS: tuple[tuple[str, type[Options], str], ...] = (
    ("All keys", RecipeKeys, ""),
    ("`backbone:`", BackboneSettings, "backbone."),
)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    return {"parallel_read_safe": True}


def write_pages(docs: Path) -> None:
    """Write `reference/recipe.md` and `reference/components.md`, if they would change."""
    registry = load_registry()
    pages = {"recipe.md": _recipe_page(), "components.md": _components_page(registry)}
    for name, lines in pages.items():
        path, text = docs / "reference" / name, "\n".join(lines) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _recipe_page() -> Iterator[str]:
    yield "# Every key of a recipe"
    yield ""
    yield "`latte check RECIPE` prints all values of a recipe, with the source of each."
    for title, model, prefix in SECTIONS:
        yield from ("", f"## {title}", "", _first_line(model), "")
        yield from _table(model, prefix)


def _components_page(registry: Registry) -> Iterator[str]:
    yield "# Every component that is installed here"
    yield ""
    yield "These are latte's own and those of its first-party plugins. `latte components` lists"
    yield "yours."
    for kind in KINDS:
        yield from ("", f"## {kind}")
        for component in registry.all(kind):
            yield from ("", f"### {kind} `{component.spec.name}`", "")
            yield f"{_cell(component.spec.summary)} ({component.distribution})"
            yield ""
            if kind != "model":
                yield from _table(registry.options_model(component), "")


def _table(model: type[Options], prefix: str) -> Iterator[str]:
    rows = list(option_rows(model, prefix))
    if not rows:
        yield "It has no options."
        return
    yield from ("| key | type | default | what it does |", "|---|---|---|---|")
    for row in rows:
        kind = row.type.replace("ChosenComponent", "component")
        cells = (f"`{row.name}`", kind, _cell(default_in_words(row)), _cell(row.help))
        yield f"| {' | '.join(cells)} |"


def _first_line(model: type[Options]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _cell(text: str) -> str:
    """As text: what looks like markup is shown, not followed."""
    shown = " ".join(text.split())
    for sign in "\\`*_{}[]<>|$":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
