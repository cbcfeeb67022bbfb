"""Description `class`."""

from __future__ import annotations

from latte.api import ClassDescription


class ClassTemplate(ClassDescription):
    """The template of a class."""
