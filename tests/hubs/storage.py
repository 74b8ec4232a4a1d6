"""Where hubs keep large files: another host, which serves ranges to whoever has a signed URL.

Stands for Hugging Face's CDN, Alibaba's OSS and Google's storage; knows no hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.hubs.serving import Request, Response, Server, file_response

SIGNATURE = "Signature=of-this-test"


class Storage:
    """Files by their SHA-256 on an origin of its own (`localhost`, where hubs are `127.0.0.1`)."""

    def __init__(self, etag: Callable[[str], str]) -> None:
        self._etag = etag  # from the SHA-256
        self._files: dict[str, tuple[bytes, Mapping[str, str]]] = {}
        self.server = Server(self._app, host="localhost")
        self.url = self.server.url

    def close(self) -> None:
        """Stops serving."""
        self.server.close()

    def keep(
        self, sha256: str, data: bytes, name: str = "object", headers: Mapping[str, str] | None = None
    ) -> str:
        """Takes a file and returns a signed URL of it."""
        self._files[sha256] = (data, headers or {})
        return f"{self.url}/objects/{sha256}/{name}?Expires=1900000000&{SIGNATURE}"

    def _app(self, request: Request) -> Response:
        found = re.fullmatch(r"/objects/([0-9a-f]{64})/.*", request.path)
        if "authorization" in request.headers:
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        if SIGNATURE not in request.target or found is None:
            return _error(403, "AccessDenied", "Access Denied")
        if found[1] not in self._files:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        data, headers = self._files[found[1]]
        return file_response(request, data, self._etag(found[1]), headers)


def _error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, {"content-type": "application/xml"}, body.encode())
