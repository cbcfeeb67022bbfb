"""A wheel of latte-multiproto 0.1.0, built for version 2 of the plugin interface, still works.

The wheel in `earlier/` is kept as it is: its code is not the checkout's. If the interface gets
version 3, this test must see the wheel refused with advice, and a wheel for version 3 joins it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from latte.registry.spec import API_VERSION
from tests.helpers.plugin_packages import run_python

pytestmark = pytest.mark.thorough

WHEEL = Path(__file__).parent / "earlier" / "latte_multiproto-0.1.0-py3-none-any.whl"


def test_wheel_for_interface_2_loads_and_passes_its_contract(tmp_path: Path) -> None:
    assert API_VERSION == 2
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(tmp_path)
    imported = run_python(
        tmp_path, "-c", "import latte_multiproto; print(latte_multiproto.__file__)"
    )
    assert Path(imported.stdout.strip()).is_relative_to(tmp_path)
    checked = run_python(tmp_path, "-m", "latte", "plugins", "check", "latte-multiproto")
    assert checked.returncode == 0, checked.stdout
    assert "keeps the PrototypeAggregatorContract" in checked.stdout
    assert "FAILED" not in checked.stdout
