"""The local web server of `latte review`: the page's files, photos, and endpoints.

A request names a photo by its index, never by a path. Every address begins with a secret token;
requests for another host, or from another site's page, are refused.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from latte.interfaces import LatteError
from latte.review.endpoints import Endpoints
from latte.review.guarded import Guarded, refused
from latte.review.pictures import Pictures

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_PAGE = files("latte.review").joinpath("page")
_FILES = {"": "page.html"} | {file.name: file.name for file in _PAGE.iterdir()}


def make_app(
    endpoints: Endpoints, pictures: Pictures, token: str, hosts: frozenset[str]
) -> ASGIApp:
    """Return the web application; `hosts` are the allowed values of the Host header."""

    def photo(request: Request) -> Response:
        """Return a photo as a new JPEG, by its index; the path `/thumb/` returns a smaller one."""
        is_small = request.url.path.startswith("/thumb/")
        try:
            content = pictures.jpeg(request.path_params["row"], is_small=is_small)
        except LatteError as error:
            return refused(404, error.what)
        return Response(content, media_type="image/jpeg")

    routes = [
        *(Route(f"/{name}", _file) for name in _FILES),
        Route("/image/{row:int}", photo),
        Route("/thumb/{row:int}", photo),
        *endpoints.routes,
    ]
    return Guarded(Starlette(routes=routes), token, hosts)


def _file(request: Request) -> Response:
    """Return a file of the page."""
    name = _FILES[request.url.path.removeprefix("/")]
    content = _PAGE.joinpath(name).read_text("utf-8")
    return Response(content, media_type=_TYPES[Path(name).suffix])
