"""The page at ``/``, and its parts. They are the same for all, and tell nothing of the node."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import falcon

POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""All that the page may load is of the node itself (Content Security Policy, level 3)."""

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Page:
    """The page itself, of a ``node`` or of a ``swarm``."""

    def __init__(self, of: str) -> None:
        text = (files("kademlua.http") / "page" / "index.html").read_bytes()
        self._text = text.replace(b'data-of="node"', b'data-of="%b"' % of.encode())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page, for a browser."""
        _answer(resp, "html", self._text)

    on_head = on_get


class PageParts:
    """Its scripts, style and picture."""

    def __init__(self) -> None:
        directory = files("kademlua.http") / "page"
        self._parts = {
            part.name: part.read_bytes()
            for part in directory.iterdir()
            if part.name.rpartition(".")[2] in _TYPES and part.name != "index.html"
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """One of them by its name."""
        text = self._parts.get(name)
        if text is None:
            raise falcon.HTTPNotFound(description="there is no such part")
        _answer(resp, name.rpartition(".")[2], text)

    on_head = on_get


def add_pages(app: falcon.App[Any, Any], of: str) -> None:
    """Let an application show the page."""
    app.add_route("/", Page(of))
    app.add_route("/page/{name}", PageParts())


def _answer(resp: falcon.Response, kind: str, text: bytes) -> None:
    resp.content_type = _TYPES[kind]
    resp.set_headers(_HEADERS)
    resp.cache_control = ["no-cache"]
    resp.data = text
