"""`latte schema`: what recipes may say, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo


def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there; default: print it."),
    ] = None,
) -> None:
    """Print a JSON Schema of recipes with everything that is installed, for your editor."""
    import json

    from latte.interfaces import LatteError
    from latte.recipe.schema import recipe_schema
    from latte.registry.registry import load_registry

    text = json.dumps(recipe_schema(load_registry()), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        echo(text, nl=False)
        return

    from latte.io.files import write_text

    try:
        write_text(output, text)
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(output)) from error
    echo(f"wrote {output}; first line of a recipe beside it, for VS Code's YAML extension:")
    echo(f"# yaml-language-server: $schema={output.name}")
