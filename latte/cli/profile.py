"""`profile.json` as a table that fits a terminal of 80 columns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latte.cli.progress import duration, three_digits

_NAME, _WIDTH = 26, 80


def profile_lines(path: Path) -> list[str]:
    """Where the time of the run went, by stages and by the parts of a training step."""
    profile = json.loads(path.read_text(encoding="utf-8"))
    return [
        *_stage_lines(profile["stages"]),
        *_beside_lines(profile["beside_steps"]),
        *(_step_lines(profile, profile["steps"]) if profile["steps"] else _no_steps(profile)),
    ]


def _stage_lines(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [_row("stage", "time", "images/s", "peak memory")]
    for stage in stages:
        memory, rate = stage["peak_memory_mb"], stage["images_a_second"]
        name = f"{stage['name']} (reused)" if stage["reused"] else stage["name"]
        lines.append(
            _row(
                name,
                duration(stage["seconds"]),
                three_digits(rate) if rate else "",
                f"{memory:,.0f} MiB" if memory is not None else "",
            )
        )
    return lines


def _beside_lines(beside: Mapping[str, float]) -> list[str]:
    parts = [f"{name} {duration(seconds)}" for name, seconds in beside.items()]
    text = f"training, beside its steps: {', '.join(parts)}"
    return ["", *textwrap.wrap(text, _WIDTH)] if parts else []


def _step_lines(profile: Mapping[str, Any], steps: Mapping[str, Any]) -> list[str]:
    count, images = steps["steps"], steps["images"]
    ordinary = steps["timed_alone"]
    kind = "timed alone" if ordinary else "while operations were counted, which takes longer"
    trained = [stage["reused"] for stage in profile["stages"] if stage["name"] == "train"]
    earlier = " of an earlier run" if any(trained) else ""
    of_cpu = " of CPU" if profile["device"] == "cpu" else ""
    peak = steps["product_gflop_a_second"]
    lines = [
        "",
        f"training steps{earlier}: {count} {kind}, {three_digits(images / count)} images each",
        _row("part of a step", "ms", "share", "GFLOP/s"),
        *(_part_row(part, steps) for part in steps["parts"]),
        _row(
            "whole step",
            f"{1000 * steps['seconds'] / count:,.1f}",
            "100 %",
            three_digits(steps["gflop_a_second"]),
        ),
        f"{three_digits(steps['images_a_second'])} images/s; "
        f"{three_digits(steps['gflop_an_image'])} GFLOP an image",
        f"{100 * steps['share_of_product']:.0f} % of what a large {profile['arithmetic']} product "
        f"reaches: {three_digits(peak)} GFLOP a second{of_cpu}",
    ]
    if ordinary:
        lines.append(
            f"{steps['looked_into']} more steps were counted or traced, and left out of this"
        )
    return lines


def _part_row(part: Mapping[str, Any], steps: Mapping[str, Any]) -> str:
    rate = part["gflop_a_second"]
    return _row(
        part["name"],
        f"{1000 * part['seconds'] / steps['steps']:,.1f}",
        f"{100 * part['seconds'] / steps['seconds']:.1f} %",
        three_digits(rate) if rate else "",
    )


def _no_steps(profile: Mapping[str, Any]) -> list[str]:
    reused = any(one["name"] == "train" and one["reused"] for one in profile["stages"])
    why = "training was reused" if reused else "there was no training"
    return ["", f"{why}, so that no step was measured"]


def _row(name: str, *cells: str) -> str:
    return (f"{name:<{_NAME}}" + "".join(f"{cell:>15}" for cell in cells)).rstrip()
