"""Frozen CLIPs that several runs may share: loaded once, and each text encoded once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latte.backbone.encode import encode_many_texts
from latte.interfaces import Backbone, Progress
from latte.run.workspace import Workspace


class FrozenClip:
    """A frozen CLIP, and the features of the texts that it has encoded."""

    def __init__(self, backbone: Backbone) -> None:
        self.logit_scale = float(backbone.logit_scale.detach())
        self._backbone = backbone
        self._features: dict[str, Tensor] = {}

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """M texts -> unit features (M, D), on the CPU, without gradient."""
        new = [text for text in dict.fromkeys(texts) if text not in self._features]
        if new:
            self._encode(new, progress)
        if not texts:
            return torch.empty(0, self._backbone.embedding_width)
        return torch.stack([self._features[text] for text in texts])

    def _encode(self, texts: Sequence[str], progress: Progress) -> None:
        rows = encode_many_texts(self._backbone, texts, progress, "encode texts")
        self._features.update(zip(texts, rows, strict=True))


class FrozenClips:
    """The frozen CLIPs of several runs, by what names them."""

    def __init__(self) -> None:
        self._clips: dict[tuple[str, str, str], FrozenClip] = {}

    def of(self, workspace: Workspace) -> FrozenClip:
        """The CLIP that a run started from."""
        recipe = workspace.recipe
        key = (recipe.backbone.model_dump_json(), str(recipe.base_dir), workspace.device)
        if key not in self._clips:
            self._clips[key] = FrozenClip(workspace.frozen_clip)
        return self._clips[key]
