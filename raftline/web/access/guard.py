"""In front of every request: the Host's name, where a write comes from, and the headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Scope = dict[str, Any]
WRITE_HEADER = b"x-raftline"
"""A page of another origin cannot send it without asking first, and is never allowed to."""
MOST_BYTES = 1 << 20
"""Of a request's body, which strangers can send, too. Fifty zones of a hundred corners take a tenth."""
_READS = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An ASGI application around another: refuses what does not come from the page itself."""

    def __init__(self, app: Any, hosts: Callable[[], frozenset[str]]) -> None:
        """
        Args:
            app: The application.
            hosts: What a request's Host may be, in lower case, with its port.
        """
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """A request, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await _refuse(scope, send, *refusal)
            return
        await self._app(scope, _limited(receive), _with_headers(scope, send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host not in self._hosts():
            return 421, "this page does not answer under this name; allow it with --allow-host NAME"
        writes = scope["type"] == "websocket" or scope["method"] not in _READS
        origin = headers.get(b"origin")
        if (
            writes
            and origin is not None
            and origin.decode("latin-1").lower() not in (f"http://{host}", f"https://{host}")
        ):
            return 403, "the request comes from another page"
        if writes and scope["type"] == "http" and headers.get(WRITE_HEADER) != b"1":
            return 403, "a request that writes needs the header X-Raftline: 1"
        if int(headers.get(b"content-length", b"0")) > MOST_BYTES:
            return 413, f"the request is too large; at most {MOST_BYTES} bytes are taken"
        return None


def _limited(receive: Any) -> Any:
    """A body that does not say how long it is ends, as if the connection had, where it gets too long."""
    taken = 0

    async def receiving() -> dict[str, Any]:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES:
                return {"type": "http.disconnect"}
        return message

    return receiving


def _with_headers(scope: Scope, send: Any) -> Any:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            wanted = dict(_HEADERS)
            if scope["path"].startswith("/api"):
                wanted["cache-control"] = "no-store"
            own = [(n.encode(), v.encode()) for n, v in wanted.items() if n.encode() not in given]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Any, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await _with_headers(scope, send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
