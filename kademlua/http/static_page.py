"""The static page at ``/`` and its assets, which contain no data of the node."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import falcon

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Restricts the page to resources of the node (Content Security Policy Level 3)."""

_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageResource:
    """The page of a ``node`` or a ``swarm``."""

    def __init__(self, kind: str) -> None:
        text = (files("kademlua.http") / "page" / "index.html").read_bytes()
        self._text = text.replace(b'data-of="node"', b'data-of="%b"' % kind.encode())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the page."""
        _send_asset(resp, "html", self._text)

    on_head = on_get


class PageAssetsResource:
    """The scripts, style sheet and icon of the page."""

    def __init__(self) -> None:
        directory = files("kademlua.http") / "page"
        self._assets = {
            part.name: part.read_bytes()
            for part in directory.iterdir()
            if part.name.rpartition(".")[2] in _CONTENT_TYPES and part.name != "index.html"
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Send an asset by name."""
        text = self._assets.get(name)
        if text is None:
            raise falcon.HTTPNotFound(description="there is no such part")
        _send_asset(resp, name.rpartition(".")[2], text)

    on_head = on_get


def add_page_routes(app: falcon.App[Any, Any], kind: str) -> None:
    """Add the routes of the page to an application."""
    app.add_route("/", PageResource(kind))
    app.add_route("/page/{name}", PageAssetsResource())


def _send_asset(resp: falcon.Response, extension: str, content: bytes) -> None:
    resp.content_type = _CONTENT_TYPES[extension]
    resp.set_headers(_HEADERS)
    resp.cache_control = ["no-cache"]
    resp.data = content
