"""Repository and licence of pretrained weights that open_clip names. Imports no torch."""

from __future__ import annotations

import re

from latte.backbone.names import weight_tag

HUB = "hf-hub:"
_LICENCES = {
    r"laion/CLIP-": "mit",
    r"timm/.*SigLIP": "apache-2.0",
    r"timm/PE-Core-": "apache-2.0",
    r"timm/.*metaclip": "cc-by-nc-4.0",
    r"facebook/metaclip": "cc-by-nc-4.0",
}
"""Licence by beginning of the repository name, for publishers with one licence for all models."""


def repository_of(model: str, pretrained: str | None) -> str | None:
    """Return the repository on the Hugging Face hub that has the weights, if there is one."""
    if model.startswith(HUB):
        return model.removeprefix(HUB)
    if ":" in model or pretrained is None:
        return None
    found = weight_tag(model.replace("/", "-"), pretrained) or {}
    return str(found.get("hf_hub") or "").strip("/") or None


def licence_of(repository: str | None) -> str | None:
    """Return the licence of a repository, if known."""
    found = (name for start, name in _LICENCES.items() if re.match(start, repository or ""))
    return next(found, None)
