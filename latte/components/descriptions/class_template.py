"""Description `class`: the template of a class."""

from __future__ import annotations

from latte.api import ClassDescription


class ClassTemplate(ClassDescription):
    """Template in the options or, without one, of the dataset, with the class name."""
