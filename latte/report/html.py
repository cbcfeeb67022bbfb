"""Fill templates of HTML pages that need no network and no other file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from latte.io.redaction import one_line, printable
from latte.report.numbers import count, duration, mebibytes, percent

_STYLE = Path(__file__).parent / "page" / "templates" / "style.css"


def filled(
    templates: Path, script_name: str | None, content: dict[str, Any], page: str = "page.html"
) -> str:
    """Return an HTML page: the template `page` of the folder `templates`, filled with `content`.

    All values are escaped. The page's content security policy allows only the style and the script
    inside the page.
    """
    style = _STYLE.read_text(encoding="utf-8")
    script = (templates / script_name).read_text(encoding="utf-8") if script_name else ""
    hashes = {"style_hash": _source_expression(style), "script_hash": _source_expression(script)}
    template = _environment(templates).get_template(page)
    return printable(template.render(content, **hashes, style=Markup(style), script=Markup(script)))


@cache
def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count, duration=duration, mebibytes=mebibytes, one_line=one_line, percent=percent
    )
    return environment


def _source_expression(text: str) -> str:
    """Return the hash by which a content security policy allows this script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
