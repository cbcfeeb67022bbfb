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


def html_page(
    templates: Path, script_name: str | None, content: dict[str, Any], page: str = "page.html"
) -> str:
    """Return an HTML page: the template `page` of the folder `templates`, filled with `content`.

    All values are escaped. The template gets latte's style as `style`, the script in the file
    `script_name` of `templates` as `script`, and their hashes as `style_hash` and `script_hash`,
    for a content security policy that allows nothing else.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.output import html_page
        >>> _ = Path("page.html").write_text("<h1>{{ title }}</h1>")
        >>> html_page(Path.cwd(), None, {"title": "cats & dogs"})
        '<h1>cats &amp; dogs</h1>'
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
