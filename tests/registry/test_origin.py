"""Source lines of components, found without an import."""

import sys
from pathlib import Path

import pytest

from latte.registry.plugin import find_origin


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "origin_sample" / "inner"
    folder.mkdir(parents=True)
    bomb = "raise RuntimeError('reading must not import')\n"
    (folder.parent / "__init__.py").write_text(bomb)
    (folder / "__init__.py").write_text(bomb)
    (folder / "things.py").write_text(
        f"{bomb}\nclass Thing:\n    class Inner: ...\n\ndef find(): ...\n\n"
        "from json import dumps as d\nALIAS = Thing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize(("name", "line"), [("Thing", 3), ("find", 6), ("d", 8), ("ALIAS", 9)])
def test_a_definition_is_found_without_importing_it(package: Path, name: str, line: int) -> None:
    origin = find_origin(f"origin_sample.inner.things:{name}")
    assert str(origin) == f"{package / 'things.py'}:{line}"
    assert "origin_sample" not in sys.modules


@pytest.mark.parametrize(
    "target",
    [
        "origin_sample.inner.things:Inner",
        "origin_sample.inner.nothing:Thing",
        "origin_sample.inner.things.deeper:Thing",
        "no_such_package_at_all.things:Thing",
        "sys:path",
    ],
)
def test_a_missing_definition_has_no_origin(package: Path, target: str) -> None:
    assert find_origin(target) is None
