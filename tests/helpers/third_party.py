"""A third-party plugin whose options have types that latte itself does not use."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import (
    Describer,
    DescribeRequest,
    DescriptionType,
    NoOptions,
    Options,
    Reporter,
    RunResults,
    Scope,
)
from latte.registry.spec import ComponentSpec, Kind, Plugin


class Retry(Options):
    times: int = Field(default=3, ge=0, description="attempts")
    wait: float = Field(description="seconds")


class SceneOptions(Options):
    scope: ClassVar[Scope] = "image"
    prompt: str = "Describe the scene."


class RemoteOptions(Options):
    model: str = Field(description="the model's name")
    cache: Path = Path("cache")
    limit: int | str | None = None
    retry: Retry | bool = False
    headers: dict[str, str] = Field(default={})
    patience: timedelta = timedelta(seconds=5)
    stops: frozenset[str] = frozenset()

    @field_validator("model")
    @classmethod
    def _is_no_url(cls, model: str) -> str:
        if "://" in model:
            raise ValueError("takes a name, not an address")
        return model


class ReservedOptions(Options):
    name: str = "x"


class Scene(DescriptionType[SceneOptions]):
    def prompt(self, class_name: str) -> str:
        return self.options.prompt


class Remote(Describer[RemoteOptions]):
    fingerprint = "remote"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        raise NotImplementedError


class Reserved(Remote):
    options_type = ReservedOptions


class Silent(Reporter[NoOptions]):
    def report(self, results: RunResults) -> list[Path]:
        return []


class Contrastive(ContrastiveLoss):
    pass


def _spec(kind: Kind, name: str) -> ComponentSpec:
    target = f"tests.helpers.third_party:{name.capitalize()}"
    return ComponentSpec(kind=kind, name=name, target=target, summary="for tests")


LATTE_SCENES = Plugin(
    key="latte_scenes",
    distribution="latte-scenes",
    version="1.2",
    status="ok",
    specs=(
        _spec("description", "scene"),
        _spec("describer", "remote"),
        _spec("describer", "reserved"),
        _spec("reporter", "silent"),
        _spec("loss", "contrastive"),
        _spec("model", "small"),
    ),
)
