"""Find the repository and the licence of pretrained weights. Imports no torch."""

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
"""Licence by a pattern for the start of the repository name, for publishers that give all their
models one licence."""


def repository_of(model: str, pretrained: str | None) -> str | None:
    """Return the Hugging Face repository of a model's weights; None if there is none."""
    if model.startswith(HUB):
        return model.removeprefix(HUB)
    if ":" in model or pretrained is None:
        return None
    found = weight_tag(model.replace("/", "-"), pretrained) or {}
    return str(found.get("hf_hub") or "").strip("/") or None


def licence_of(repository: str | None) -> str | None:
    """Return the licence of a repository's weights; None if it is unknown."""
    found = (name for start, name in _LICENCES.items() if re.match(start, repository or ""))
    return next(found, None)
