"""Contract of describers, with a server whose texts are hashes of the requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from openai_double import chat_server, seen

from latte.testing import DescriberContract

pytestmark = pytest.mark.thorough


class OnServer(DescriberContract):
    component = "openai"
    asked: ClassVar[dict[str, object]] = {}

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with chat_server(seen) as server:
            type(self).options = {"base_url": server.url, **self.asked}
            yield


class TestOpenAI(OnServer):
    asked: ClassVar = {"model": "llava"}
    changes: ClassVar = {
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


class TestOpenAIOfTheOnlyModel(OnServer):
    asked: ClassVar = {"images": "separate", "max_images": 3}
    changes: ClassVar = {"model": "larger"}


class TestOpenAIThatSamples(OnServer):
    asked: ClassVar = {"model": "llava", "temperature": 0.7, "format": "png"}
    changes: ClassVar = {"seed": 1, "temperature": None}
