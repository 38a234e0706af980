"""The header with the secret of secret values, which is accepted on this machine only.

It is neither logged nor kept after its request.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import falcon

from kademlua.crypto.secret import SECRET_BYTES, Secret

SECRET_HEADER: Final = "Kademlua-Secret"
_SECRET = re.compile(f"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}")
_PROXY_HEADERS: Final = (
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
)
"""What a proxy adds: the connection is then not that of the client."""

SECRET_PARAMETER: Final = {
    "name": SECRET_HEADER,
    "in": "header",
    "schema": {"type": "string", "pattern": f"^{_SECRET.pattern}$", "format": "password"},
    "description": "The secret of secret values and objects, on loopback connections only: the node"
    " blinds the key of a value with it, and seals and opens values and objects.",
}
"""Its description in the OpenAPI document."""


def read_secret(req: falcon.Request) -> Secret | None:
    """Return the secret of a request; None if it has none.

    Raises:
        falcon.HTTPForbidden: The request may have come from another machine.
        falcon.HTTPBadRequest: It is no secret.
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    digits = req.get_header(SECRET_HEADER)
    if digits is None:
        return None
    is_proxied = any(req.get_header(each) is not None for each in _PROXY_HEADERS)
    if is_proxied or not _is_loopback(req.remote_addr):
        raise falcon.HTTPForbidden(
            description=f"{SECRET_HEADER} is accepted from this machine only, and not through a"
            " proxy: others could read it on its way; regard the secret as known to them"
        )
    if not _SECRET.fullmatch(digits):
        raise falcon.HTTPBadRequest(
            description=f"{SECRET_HEADER} has {2 * SECRET_BYTES} hex digits"
        )
    return Secret(bytes.fromhex(digits))


def _is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
