"""Description `group`: one text about several images."""

from __future__ import annotations

from latte.api import GroupDescription


class AboutGroup(GroupDescription):
    """Common description of several images of one zero-shot label (LatteCLIP, section 3.1)."""
