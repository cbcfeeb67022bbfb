"""Commands of commands, such as `latte descriptions ls`: an unknown one is answered."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from latte.interfaces import LatteError
from latte.registry.suggest import did_you_mean


class SubcommandGroup(TyperGroup):
    """Answers an unknown command with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begins with. Raises `LatteError` for an unknown one."""
        if args[0] not in self.commands:
            suggestion = did_you_mean(args[0], self.commands)
            hint = f"{suggestion} All commands: {ctx.command_path} --help".strip()
            raise LatteError(f'there is no command "{ctx.command_path} {args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)
