"""Repositories and licences of weights that open_clip names."""

from __future__ import annotations

import pytest

from latte.backbone.names import licence_of, repository_of


@pytest.mark.parametrize(
    ("model", "tag", "repository", "licence"),
    [
        ("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "mit"),
        ("ViT-B/16", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "mit"),
        ("ViT-B-16-SigLIP2", "webli", "timm/ViT-B-16-SigLIP2", "apache-2.0"),
        ("PE-Core-B-16", "meta", "timm/PE-Core-B-16", "apache-2.0"),
        ("hf-hub:facebook/metaclip-b16", None, "facebook/metaclip-b16", "cc-by-nc-4.0"),
        ("ViT-B-16", "dfn2b", "apple/DFN2B-CLIP-ViT-B-16", None),
        ("hf-hub:someone/laion/CLIP-copy", None, "someone/laion/CLIP-copy", None),
        ("ViT-B-32", "weights.pt", None, None),
        ("ViT-B-32", None, None, None),
        ("plugin:tiny", None, None, None),
    ],
)
def test_repository_and_licence_follow_the_weight_tag(
    model: str, tag: str | None, repository: str | None, licence: str | None
) -> None:
    assert repository_of(model, tag) == repository
    assert licence_of(repository) == licence
