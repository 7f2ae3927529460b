"""What stands before the studio's routes: who may ask, how much, and the headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 16 << 20  # bytes of a request
LOCAL = ("127.0.0.1", "localhost", "::1")
SPACES = ".hf.space"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors {}"
)


class RequestError(Exception):
    """A request cannot be served.

    Args:
        message: One sentence for the user: what was wrong, what was expected, the remedy.
        status: Of the answer.
    """

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


def refusal(error: RequestError) -> JSONResponse:
    """The answer to a request that cannot be served."""
    return JSONResponse({"error": str(error)}, error.status)


class Guard:
    """Lets only pages of this server in (no other host name, no other site), and sets the headers of every answer.

    Another site's page may make a browser send requests here, and a name that its owner points at this machine makes
    them look as if they came from here: so the name asked for must be one of ours, and a POST must come from our page.

    Args:
        app: What is guarded.
        hosts: Names by which the server may be called, besides those of this machine.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()):
        self.app, self.hosts = app, {*LOCAL, *hosts}
        in_space = any(host.endswith(SPACES) for host in self.hosts)
        ancestors = "https://huggingface.co" if in_space else "'none'"  # a Space is shown in a frame of its page
        self.headers = {
            "content-security-policy": POLICY.format(ancestors),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "permissions-policy": "camera=(self), microphone=(), geolocation=()",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-cache",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        try:
            self.check(scope["method"], Headers(scope=scope))
        except RequestError as error:
            await refusal(error)(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)

    def check(self, method: str, headers: Headers) -> None:
        """RequestError unless the request is for this server and, if it asks for work, comes from its own page."""
        host = headers.get("host", "")
        if (urlsplit(f"//{host}").hostname or "") not in self.hosts:
            raise RequestError(f"this server is not {host!r}: start it with --allow-host to give it that name")
        if method in ("GET", "HEAD"):
            return
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
            origin is not None and urlsplit(origin).netloc != host
        ):
            raise RequestError(f"a request from {origin or 'another site'} is refused: use the page of {host}", 403)
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            raise RequestError("a request's content must be application/json", 415)


async def read_json(request: Request) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        RequestError: If it is longer than LARGEST_BODY, or no JSON object of finite numbers.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise RequestError(f"that is more than {LARGEST_BODY >> 20} MB; send a smaller picture or drawing", 413)

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no finite number")

    try:
        data = json.loads(bytes(body), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the request is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RequestError("the request is not a JSON object")
    return data
