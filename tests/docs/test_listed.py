"""Lists of pages, plugins and kinds are complete, and their links lead somewhere."""

from __future__ import annotations

import re

from latte.registry.spec import KINDS
from tests.helpers.api_surface import PAGE, page
from tests.helpers.doc_pages import ROOT


def test_llms_txt_lists_every_page() -> None:
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages - {"docs/index.md"} <= linked
    assert [target for target in linked if not (ROOT / target).is_file()] == []


def test_plugin_page_lists_every_plugin_and_kind() -> None:
    text = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    plugins = [path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")]
    assert [name for name in plugins if f"`{name}`" not in text] == []
    stable = text.split("## How stable")[1]
    assert [kind for kind in KINDS if f"`{kind}`" not in stable] == []


def test_api_page_lists_every_public_name() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), (
        "public names have changed; to list them: python -m tests.helpers.api_surface"
    )
