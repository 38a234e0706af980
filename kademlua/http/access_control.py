"""Access control, checked before each request is routed."""

from __future__ import annotations

import enum
import hmac
import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

import falcon

_HOST_PATTERN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]*)?")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
PUBLIC_PATHS = ("/", "/healthz", "/readyz")
"""Paths without a token: the static page and the health probes."""


class Access(enum.StrEnum):
    """What the credentials of a request permit."""

    NO_TOKEN = "none"
    WRONG_TOKEN = "wrong"
    FULL = "full"


class AccessControl:
    """Falcon middleware that checks the Host and Origin fields and the token.

    A foreign web page can make a browser send requests to a node on the same machine. It can read
    the reply only if its own name resolves to this machine (DNS rebinding). Such a request has
    that name in Host, and is refused.
    """

    def __init__(
        self,
        token: str,
        *,
        allow_anonymous_reads: bool,
        host_names: Iterable[str] = (),
        token_file: Path | None = None,
    ) -> None:
        """Create the middleware.

        Args:
            token: The bearer token.
            allow_anonymous_reads: Allow GET, HEAD and OPTIONS without the token.
            host_names: Accepted names in Host besides localhost and IP addresses.
            token_file: The file that messages name. Only its name is shown on addresses that
                other machines reach, because the path may have a user's name.
        """
        self._token = token.encode()
        self.allow_anonymous_reads = allow_anonymous_reads
        self.token_source = "the program that runs this node"
        """Where a user finds the token, in words."""
        if token_file is not None:
            shown = token_file.absolute() if allow_anonymous_reads else token_file.name
            self.token_source = f"the file {shown}"
        self._host_names = {"localhost", *(name.lower() for name in host_names)}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check a request.

        Raises:
            falcon.HTTPError: The request is refused.
        """
        host = req.env.get("HTTP_HOST", "")
        if not self._is_known_host(host):
            raise falcon.HTTPError(
                falcon.HTTP_421, description="this node is not known by the name in Host"
            )
        origin = req.env.get("HTTP_ORIGIN")
        if origin is not None and not _is_same_origin(origin, host):
            raise falcon.HTTPForbidden(description="a page from elsewhere may not ask this node")
        if req.env.get("HTTP_SEC_FETCH_SITE") == "cross-site" and req.path != "/":
            raise falcon.HTTPForbidden(description="a page from elsewhere may not ask this node")
        is_public = req.path in PUBLIC_PATHS or req.path.startswith("/page/")
        needs_no_token = req.method in _SAFE_METHODS and (self.allow_anonymous_reads or is_public)
        if not needs_no_token and (access := self.access_of(req)) is not Access.FULL:
            problem = "this needs the token" if access is Access.NO_TOKEN else "the token is wrong"
            raise falcon.HTTPUnauthorized(
                description=f"{problem}; it is in {self.token_source},"
                " send it as Authorization: Bearer TOKEN",
                challenges=["Bearer"],
            )

    def _is_known_host(self, host: str) -> bool:
        """Return whether Host names this node; an IP address cannot be rebound."""
        found = _HOST_PATTERN.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        return name in self._host_names or _is_ip_address(name)

    def access_of(self, req: falcon.Request) -> Access:
        """Return what the credentials of a request permit."""
        scheme, _, credentials = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return Access.NO_TOKEN
        is_match = hmac.compare_digest(credentials.strip().encode(), self._token)
        return Access.FULL if is_match and scheme.lower() == "bearer" else Access.WRONG_TOKEN


def _is_same_origin(origin: str, host: str) -> bool:
    """Return whether the origin of a page equals the host of its request."""
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
