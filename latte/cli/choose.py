"""`latte choose`: rank models on a folder of images, without labels."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.adapt import ClassesOption, PhotosArgument, file_or_names
from latte.cli.output import echo
from latte.cli.shared import QuietOption
from latte.interfaces import LatteError
from latte.report.terminal import in_lines, table

if TYPE_CHECKING:
    from latte.interfaces import Verdict


_NOTE = (
    "score: how often similar images get the same zero-shot class, beyond chance; it ranks models, "
    "often wrongly, and is no accuracy. adapting: the guard's verdict, with the probability that "
    "adapting helps. ms/image: to encode a decoded image, here and now."
)


def choose(
    images: PhotosArgument,
    models: Annotated[
        str,
        typer.Option(
            metavar="A,B,C", help="Models to compare, each as `latte adapt --model` names it."
        ),
    ],
    classes: ClassesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Rank models on your images without labels: zero-shot and the safe default of each.

    Only caches are written (models, decoded images, features), and `latte adapt` reuses them.
    """
    from latte.cli.progress import make_progress
    from latte.new.choosing import compare_models
    from latte.registry.registry import load_registry

    names = [*dict.fromkeys(name.strip() for name in models.split(",") if name.strip())]
    if not names:
        raise LatteError("names no model", where="--models", hint="as in --models A,B,C")
    found = compare_models(
        images, file_or_names(classes), names, load_registry(), make_progress(quiet)
    )
    rows = [
        (
            name,
            f"{one.score:.2f}",
            _adapting(one.verdict),
            f"{1000 * one.seconds:.1f}",
            one.licence or "unknown",
        )
        for name, one in found.items()
    ]
    for line in table(("model", "score", "adapting", "ms/image", "licence"), rows):
        echo(line)
    echo(in_lines(_NOTE))
    best = next(iter(found))
    given = ["--classes", classes] if classes is not None else []
    command = shlex.join(["latte", "adapt", str(images), *given, "--model", best])
    echo(f"best score: {best}; next: {command}")


def _adapting(verdict: Verdict | None) -> str:
    """Return the verdict in two words, and the probability that adapting helps."""
    if verdict is None:
        return "no guard"
    sure = "" if verdict.probability is None else f" ({verdict.probability:.2f})"
    return f"{verdict.outcome}{sure}"
