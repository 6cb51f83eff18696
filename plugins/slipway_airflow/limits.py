"""A bound on what may be sent to Airflow's public API: ten megabytes of conf would be stored and shown for ever."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

LIMIT_BYTES = 256 * 1024
"""Far above any conf, reason or form there is; far below a harmful size."""
DEEPEST = 64
"""Levels of nesting; a conf has one."""
GUARDED = ("/api/v2/", "/slipway/")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Reads a request's body up to the limit, refuses what is larger, too deep or no UTF-8, and hands the rest on."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(GUARDED)
            or scope["method"] not in ("POST", "PATCH", "PUT")
        ):
            await self.app(scope, receive, send)
            return
        body = await read_body(scope, receive)
        if body is None:
            await _refuse(send, 413, f"The request body is larger than {LIMIT_BYTES} bytes. Send references, not data.")
        elif (problem := _problem(body)) is not None:
            await _refuse(send, 400, problem)
        else:
            await self.app(scope, replayed(body, receive), send)


async def read_body(scope: Message, receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than the limit, with or without a stated length."""
    said = dict(scope["headers"]).get(b"content-length", b"0")
    if not said.isdigit() or int(said) > LIMIT_BYTES:
        return None
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LIMIT_BYTES:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return body


def _problem(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return f"The request body is not UTF-8 at byte {error.start}."
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return (
        f"The request body is nested {deepest} levels deep; at most {DEEPEST} are read." if deepest > DEEPEST else None
    )


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once more, then the next messages of the connection."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, detail: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": detail}).encode()})
