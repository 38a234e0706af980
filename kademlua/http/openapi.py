"""The API's description (OpenAPI 3.1): what may be asked, and what is answered."""

from __future__ import annotations

import falcon


class Document:
    """later"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of it."""
        resp.data = b"{}"
