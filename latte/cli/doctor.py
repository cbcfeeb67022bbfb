"""`latte doctor`: facts about the machine and the installation for a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from latte.cli.shared import JsonOption
from latte.interfaces import LatteError
from latte.interfaces.settings import PUBLISHED_BATCH_SIZE
from latte.io.redaction import is_secret
from latte.registry.discovery import discover_plugins
from latte.report.numbers import size
from latte.report.output import print_json, results
from latte.report.terminal import fitted
from latte.version import __version__

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "transformers", "timm", "pydantic")


def doctor(json: JsonOption = False) -> None:
    """Show versions, devices and folders, to paste into a bug report."""
    findings = examine()
    if json:
        print_json(findings)
    else:
        rows = [(name, _in_words(value)) for name, value in findings.items()]
        results().print(fitted(("", ""), rows))


def examine() -> dict[str, Any]:
    """Return facts about machine and installation as plain data; imports torch to list devices."""
    from latte.io.environment import cache_folder
    from latte.new.models import main_memory, usable_cpus

    memory, packages = main_memory(), dict.fromkeys(_PACKAGES, "not installed")
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    try:
        plugins = [
            ": ".join(filter(None, (f"{plugin.package} {plugin.status}", plugin.error)))
            for plugin in discover_plugins()
        ]
    except LatteError as error:
        plugins = [str(error)]
    folder = cache_folder().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = "writable" if os.access(existing, os.W_OK) else "not writable"
    return {
        "latte": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        **packages,
        "cpus": usable_cpus(),
        "memory": size(memory * 2**30) if memory else "unknown",
        "devices": _devices(),
        "views": _views(),
        "cache": f"{folder}, {writable}, {size(shutil.disk_usage(existing).free)} free",
        "plugins": plugins,
        "environment": {
            name: "(hidden)" if is_secret(name, value) else value
            for name, value in sorted(os.environ.items())
            if name.startswith("LATTE_")
        },
    }


def _devices() -> list[str]:
    try:
        import torch
    except Exception as error:
        return [f"torch cannot be imported: {error}"]
    gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    cuda_devices = [
        f"cuda:{index} {gpu.name}, {size(gpu.total_memory)}" for index, gpu in enumerate(gpus)
    ]
    return [*cuda_devices, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _views() -> str:
    try:
        import torch

        from latte.data.view_speed import faster_views, views_per_second

        speed = views_per_second(for_gpu=torch.cuda.is_available())
        step = PUBLISHED_BATCH_SIZE
        waits = f"a GPU waits for them if its step on {step} images takes less than"
        return f"{speed:,.0f} per second; {waits} {step / speed:.2f} s; {faster_views()}"
    except Exception as error:
        return f"cannot be made: {error}"


def _in_words(value: object) -> str:
    match value:
        case dict():
            return "\n".join(f"{key}={item}" for key, item in value.items()) or "none"
        case list():
            return "\n".join(map(str, value))
    return str(value)
