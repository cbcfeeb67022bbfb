"""Description `group`."""

from __future__ import annotations

from latte.api import GroupDescription


class AboutGroup(GroupDescription):
    """What several images of one zero-shot label have in common (LatteCLIP, section 3.1)."""
