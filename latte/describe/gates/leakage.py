"""Texts that name a class: they repeat a pseudo-label, right or wrong, in place of what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from latte.describe.gates.names import ClassNames
from latte.describe.gates.options import LeakageOptions
from latte.interfaces import Gate, GatedText, GateSubject, LatteError


class LeakageGate(Gate[LeakageOptions]):
    """Holds back texts that name the class of their frozen label, another class, or any.

    How names are found: `ClassNames`. Where several classes share a name, it counts as the own
    one if that is among them.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """See `Gate`. Raises `LatteError` if an option names a class that there is not."""
        for name in self.options.ignore:
            _check(name, subject.class_names)
        names = ClassNames(subject.class_names)
        return [self._verdict(one, names) for one in texts]

    def _verdict(self, written: GatedText, names: ClassNames) -> str | None:
        for found in names.found(written.text):
            classes = found.difference(self.options.ignore)
            own = written.class_name in classes
            if classes and self.options.names in ("any", "own" if own else "other"):
                named = written.class_name if own else min(classes)
                return f"it names {'its own' if own else 'the'} class `{named}`"
        return None


def _check(name: str, class_names: Sequence[str]) -> None:
    if name in class_names:
        return
    near = get_close_matches(name, class_names, n=1)
    raise LatteError(
        f"there is no class `{name}` to ignore" + (f"; did you mean `{near[0]}`?" if near else ""),
        where="gates: leakage",
        hint="write class names in `ignore` exactly as the dataset has them",
    )
