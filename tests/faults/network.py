"""No network: an unreachable server, and models that are not downloaded."""

from __future__ import annotations

import os
import socket

from tests.faults.outcome import FaultOutcome, seen
from tests.faults.place import ALL_STAGES, Ended, FaultPlace
from tests.faults.site import Site


def gone(site: Site, times: int) -> list[FaultOutcome]:
    """Check that each run ends with code 2 and complete files, and continues with a network."""
    closed = f"http://127.0.0.1:{_closed_port()}"
    describer = f"{{use: openai, model: m, base_url: '{closed}/v1'}}"
    offline = {"HF_ENDPOINT": closed, "HF_HUB_DISABLE_TELEMETRY": "1"}
    place, rows = site.place(), []
    for fault, change, settings in (
        ("openai: no server", f"--set=describer={describer}", {}),
        ("hub model, no network", "--set=backbone={model: 'hf-hub:nobody/nothing'}", offline),
        (
            "open_clip tag, the same",
            "--set=backbone={model: ViT-B-32, pretrained: laion2b_s34b_b79k}",
            offline,
        ),
    ):
        place.changes = [*ALL_STAGES, change]
        rows.append(_row(fault, place, place.run(**_without_proxies(), **settings)))
    return rows


def _row(fault: str, place: FaultPlace, ended: Ended) -> FaultOutcome:
    assert ended.code == 2, ended.output
    left = place.leftovers()
    return FaultOutcome(fault, 1, seen(ended), f"left: {left}" if left else "nothing", "yes")


def _without_proxies() -> dict[str, str]:
    return {name: "" for name in os.environ if name.lower().endswith("_proxy")}


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
