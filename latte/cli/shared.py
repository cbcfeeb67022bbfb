"""Arguments and options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latte.interfaces import LatteError
from latte.registry.spec import KINDS, Kind
from latte.registry.suggest import did_you_mean

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]
RunArgument = Annotated[Path, typer.Argument(help="A run folder, as `latte run` named it.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change a value, as in train.batch_size=64; may be repeated.",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=2, help="Use at most so many training and test images: a quick look."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


class SubcommandGroup(TyperGroup):
    """Answers an unknown command with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begins with. Raises `LatteError` for an unknown one."""
        if args[0] not in self.commands:
            suggestion = did_you_mean(args[0], self.commands)
            hint = f"{suggestion} All commands: {ctx.command_path} --help".strip()
            raise LatteError(f'there is no command "{ctx.command_path} {args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)


def known_kind(kind: str) -> Kind:
    """`kind`, if there is such a kind of component. Raises `LatteError` with the nearest."""
    if kind in KINDS:
        return kind
    suggestion = did_you_mean(kind, KINDS)
    raise LatteError(
        f'there is no kind of component called "{kind}"',
        hint=f"{suggestion} All kinds: {', '.join(KINDS)}".strip(),
    )
