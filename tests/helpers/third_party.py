"""A third-party plugin whose options have types that latte itself does not use."""

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from latte.interfaces import Options, Scope
from latte.registry.spec import ComponentSpec, Plugin


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


def _spec(kind: str, name: str, options: str | None = None) -> ComponentSpec:
    return ComponentSpec(
        kind=kind,
        name=name,
        target="tests.helpers.third_party:never_imported",
        options=options and f"tests.helpers.third_party:{options}",
        summary="for tests",
    )


LATTE_SCENES = Plugin(
    key="latte_scenes",
    distribution="latte-scenes",
    version="1.2",
    status="ok",
    specs=(
        _spec("description", "scene", "SceneOptions"),
        _spec("describer", "remote", "RemoteOptions"),
        _spec("describer", "reserved", "ReservedOptions"),
        _spec("reporter", "silent"),
        _spec("loss", "contrastive"),
        _spec("model", "small"),
    ),
)
