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
    """The page of a ``node`` or a ``swarm``, with its scripts, style sheet and icon."""

    def __init__(self, kind: str) -> None:
        directory = files("kademlua.http") / "page"
        self._assets = {each.name: each.read_bytes() for each in directory.iterdir()}
        template = self._assets["index.html"]
        self._assets["index.html"] = template.replace(
            b'data-of="node"', f'data-of="{kind}"'.encode()
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = "index.html") -> None:
        """Send an asset by name."""
        if name not in self._assets:
            raise falcon.HTTPNotFound(description="the page has no such part")
        resp.content_type = _CONTENT_TYPES[name.rpartition(".")[2]]
        resp.set_headers(_HEADERS)
        resp.cache_control = ["no-cache"]
        resp.data = self._assets[name]

    on_head = on_get


def add_page_routes(app: falcon.App[Any, Any], kind: str) -> None:
    """Add the routes of the page to an application."""
    resource = PageResource(kind)
    app.add_route("/", resource)
    app.add_route("/page/{name}", resource)
