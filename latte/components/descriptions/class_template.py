"""Description `class`: the template of a class."""

from __future__ import annotations

from latte.api import ClassDescription


class ClassTemplate(ClassDescription):
    """The dataset's template, or the one in the options, with the class name."""
