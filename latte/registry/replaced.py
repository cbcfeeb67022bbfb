"""Names that recipes of earlier versions use, and what to write in their place."""

from __future__ import annotations

from collections.abc import Mapping

from latte.registry.spec import Kind

COMPONENTS: Mapping[tuple[Kind, str], str] = {("labeler", "transductive"): "self-taught"}
"""Name of the component that replaces another one of its kind."""
PACKAGES: Mapping[str, str] = {"latte-transductive": "latte-selftaught>=0.1,<0.2"}
"""Requirement that replaces a package which is not published any more."""
