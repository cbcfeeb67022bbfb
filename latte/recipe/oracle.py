"""Rule of recipes about the key `oracle`; `latte.results.oracle` says what it means for a run."""

from __future__ import annotations

from collections.abc import Sequence

from latte.recipe.component import Choice
from latte.recipe.errors import Check


def check_oracle(check: Check, descriptions: Sequence[Choice], *, oracle: bool) -> None:
    """Refuse options that use true labels without `oracle: true`, and the other way round.

    An unneeded `oracle: true` is reported only if there are no other mistakes, because a
    description with mistakes may need it.
    """
    paths = [
        ("descriptions", index, key)
        for index, choice in enumerate(descriptions)
        for key in choice.options.oracle_options
        if getattr(choice.options, key) is not None
    ]
    if oracle and not paths and not check.has_mistakes():
        check.add(
            ("oracle",),
            "oracle is true, and nothing here uses ground-truth labels of training images",
            "Write oracle: false, or set correct: NUMBER of a group description.",
        )
    for path in paths if not (oracle or check.is_wrong("oracle")) else ():
        check.add(
            path,
            f'"{path[-1]}" uses ground-truth labels of training images, and oracle: true is '
            "missing",
            f'Add oracle: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )
