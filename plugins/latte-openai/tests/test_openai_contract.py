"""Contract of describers, with a server whose texts are hashes of the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import pytest
from latte_author.testing import DescriberContract
from openai_double import chat_server, seen

pytestmark = pytest.mark.thorough


class OnServer(DescriberContract):
    component = "openai"
    recipe_options: ClassVar[dict[str, object]] = {}
    changes: ClassVar[Mapping[str, object]] = {
        "model": "larger",
        "revision": "2",
        "system_prompt": "Be brief.",
        "max_tokens": 20,
        "temperature": 0.5,
        "top_p": 0.9,
        "extra_body": {"top_k": 1},
        "max_side": 16,
        "format": "png",
        "quality": 50,
        "detail": "low",
    }
    without_effect_on_texts: ClassVar[Sequence[str]] = (
        "base_url",
        "key_env",
        "seed",  # only above temperature 0
        "images",  # groups are composed before a request is made
        "max_images",
        "concurrency",
        "timeout",
        "retries",
    )

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with chat_server(seen) as server:
            type(self).options = {"base_url": server.url, **self.recipe_options}
            yield


class TestOpenAI(OnServer):
    recipe_options: ClassVar = {"model": "llava"}


class TestOpenAIOfTheOnlyModel(OnServer):
    recipe_options: ClassVar = {"images": "separate", "max_images": 3}


class TestOpenAIThatSamples(OnServer):
    recipe_options: ClassVar = {"model": "llava", "temperature": 0.7, "format": "png"}
    changes: ClassVar = {
        **{name: value for name, value in OnServer.changes.items() if name != "quality"},
        "seed": 1,
        "temperature": None,
        "format": "jpeg",
    }
    without_effect_on_texts: ClassVar = (*OnServer.without_effect_on_texts, "quality")
