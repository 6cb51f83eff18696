"""The ASGI application of a worker: what comes in over HTTP, who may ask, and how an answer is said."""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from include.domain.canary.units import unit_text
from include.domain.faults import crashpoint
from include.domain.serving.requests import MOST_BYTES, AskedRequest, NotAnswered, is_id, parsed
from include.serving.answering import AnsweredRequest, Answerer
from include.serving.canary import GRACE_S, Draw
from include.serving.counters import Counters, bucket_of, labelled
from include.serving.models import LoadedModel, Models
from include.serving.on_disk import on_disk
from include.serving.openapi import openapi
from include.serving.outcomes import Books, taken_down
from include.serving.protocols import MLFLOW, OIP, OURS, Protocol, oip_metadata
from include.serving.recorded import Terms
from include.serving.replies import Remembered, Reply, refused, shown_as_json
from include.serving.shown import View, drawn_now
from include.serving.tokens import Tokens, may, may_look

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_encode = msgspec.json.Encoder().encode
OPEN = frozenset({"/livez", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"})
"""Asked by whatever watches the service, without a token."""


@dataclass(frozen=True, slots=True)
class AppLimits:
    """What a worker takes on at once, and how long it remembers."""

    in_flight: int = 256
    body_s: float = 10.0
    remembered: int = 10_000
    remembered_bytes: int = 32_000_000
    remembered_s: float = 600.0


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whoever sent a request: the name of the token, empty where none is asked for, and whether it may see arms."""

    name: str
    tells: bool


class App:
    """One worker. Requests are answered one after the other once their bodies have come."""

    def __init__(
        self,
        models: Models,
        answerer: Answerer,
        books: Books,
        counters: Counters,
        tokens: Tokens,
        view: View,
        limits: AppLimits,
    ) -> None:
        self.models, self.answerer, self.counters, self.tokens = models, answerer, counters, tokens
        self.view, self.limits, self._books = view, limits, books
        self.draining = False
        self.in_flight = 0
        self._remembered = Remembered(limits.remembered, limits.remembered_bytes, limits.remembered_s)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        path: str = scope["path"]
        model = ""
        if self.in_flight >= self.limits.in_flight and path not in OPEN:
            reply = refused(NotAnswered(429, "too many requests at once"))
        else:
            self.in_flight += 1
            try:
                reply, model = await self._reply(scope, path, receive, began)
            except NotAnswered as error:
                reply, model = refused(error), error.model
            except _Gone:
                return
            except Exception as error:  # noqa: BLE001 - whatever a request meets, it gets an answer and the next one is served
                self.counters.add(labelled("slipway_broken_total", kind=type(error).__name__))
                reply = refused(NotAnswered(500, f"the service failed: {type(error).__name__}"))
            finally:
                self.in_flight -= 1
        if path not in OPEN:
            self._count(model, reply.status, time.perf_counter() - began)
        await self._send(send, reply, scope["method"])
        crashpoint("serve.replied")

    async def _send(self, send: Send, reply: Reply, method: str) -> None:
        headers = [
            (b"content-type", reply.kind),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
        ]
        if self.draining or reply.status in (408, 413):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})

    def _count(self, model: str, status: int, seconds: float) -> None:
        add = self.counters.add
        add(labelled("slipway_requests_total", model=model, code=status))
        if model:
            add(labelled("slipway_request_seconds_bucket", model=model, le=bucket_of(seconds)))
            add(labelled("slipway_request_seconds_sum", model=model), seconds)
            add(labelled("slipway_request_seconds_count", model=model))

    # --- which route -------------------------------------------------------------------------------------------------

    async def _reply(self, scope: Message, path: str, receive: Receive, began: float) -> tuple[Reply, str]:
        if path not in OPEN:
            self._authorize(scope, None)
        if scope["method"] == "POST":
            told = _told_of(path)
            if told is not None:
                return await self._told(scope, told, receive), ""
            name, protocol = self._asked_of(path)
            tells = self._authorize(scope, name).tells
            try:
                return await self._predicted(scope, name, protocol, receive, (began, tells)), name
            except NotAnswered as error:
                # Only a name that is served becomes a label: there are few of them.
                error.model = name if name in self.models.current() else ""
                raise
        if scope["method"] not in ("GET", "HEAD"):
            raise NotAnswered(405, f"{scope['method'][:20]} is not answered here")
        parts = path.strip("/").split("/")
        if parts[:2] == ["v1", "models"] and len(parts) == 4 and parts[3] == "arm":
            return self._arm(scope, parts[2]), ""
        return self._shown(path), ""

    async def _told(self, scope: Message, name: str, receive: Receive) -> Reply:
        """What came of rows of the model is written down. Its time is none of the model's answers'."""
        by = self._authorize(scope, name, "outcomes").name
        body = await self._body(scope, receive)
        return await taken_down(self._books, body, self._loaded(name).served, by, self.counters)

    def _authorize(self, scope: Message, model: str | None, what: str = "predict") -> _Asker:
        """Whose token it is.

        Raises:
            NotAnswered: 401, 403 or 429.
        """
        if not self.tokens:
            return _Asker("", True)
        given = _header(scope, b"authorization")
        scheme, _, token = (given or "").partition(" ")
        scopes = self.tokens.scopes(token.strip()) if scheme.lower() == "bearer" else None
        if scopes is None:
            raise NotAnswered(401, "a token is asked for: Authorization: Bearer …")
        if model is not None and not may(scopes, model, what):
            raise NotAnswered(403, f"the token is not for this: {what}:{model[:80]}")
        if model is not None and not self.tokens.takes(token.strip(), time.monotonic()):
            raise NotAnswered(429, "the token asks more often than it may")
        return _Asker(self.tokens.name(token.strip()), may_look(scopes))

    def _arm(self, scope: Message, name: str) -> Reply:
        """Who would answer one unit."""
        if not self._authorize(scope, None).tells:
            raise NotAnswered(403, "the token may not see arms; make one with `slipway serve token NAME --debug`")
        loaded = self._loaded(name)
        given = urllib.parse.parse_qs(scope.get("query_string", b"").decode("latin-1")).get("unit", [])
        unit = unit_text(given[0]) if len(given) == 1 else None
        if unit is None:
            raise NotAnswered(422, "give one unit, such as ?unit=7")
        return shown_as_json(drawn_now(self.answerer, loaded, unit))

    def _asked_of(self, path: str) -> tuple[str, Protocol]:
        """The model and the protocol of a POST."""
        parts = path.strip("/").split("/")
        if len(parts) == 4 and parts[:2] == ["v1", "models"] and parts[3] == "predict":
            return parts[2], OURS
        if parts[:2] == ["v2", "models"] and parts[-1] == "infer" and len(parts) in (4, 6):
            if len(parts) == 6:
                self._require_version(parts[2], parts[3], parts[4])
            return parts[2], OIP
        if parts[-1] == "invocations" and len(parts) == 2:
            return parts[0], MLFLOW
        if parts == ["invocations"]:
            names = list(self.models.current())
            if len(names) == 1:
                return names[0], MLFLOW
            raise NotAnswered(404, f"{len(names)} models are served; ask /MODEL/invocations")
        raise NotAnswered(404, "there is nothing at this path")

    def _require_version(self, name: str, word: str, version: str) -> None:
        loaded = self._loaded(name)
        if word != "versions" or version != str(loaded.served.version):
            raise NotAnswered(404, f"version {loaded.served.version} of {name} is served, and no other")

    def _loaded(self, name: str) -> LoadedModel:
        loaded = self.models.current().get(name)
        if loaded is None:
            known = name in self.models.problems or name in self.view.declared()
            raise NotAnswered(503 if known else 404, f"{name[:80]} is {'not ready' if known else 'not served here'}")
        return loaded

    def _shown(self, path: str) -> Reply:
        if path in ("/livez", "/v2/health/live"):
            return shown_as_json({"live": True})
        if path in ("/readyz", "/ping", "/health", "/v2/health/ready"):
            why = self._not_ready()
            return shown_as_json({"ready": why is None, **({"why": why} if why else {})}, 200 if why is None else 503)
        if path == "/v1/status":
            return shown_as_json(self.view.status(self))
        if path == "/metrics":
            return Reply(200, self.view.metrics(self).encode(), kind=b"text/plain; version=0.0.4")
        if path in ("/v1/openapi.json", "/openapi.json"):
            return shown_as_json(openapi([each.served for each in self.models.current().values()]))
        if path == "/version":
            return Reply(200, self.view.version.encode(), kind=b"text/plain")
        if path == "/v2":
            return shown_as_json({"name": "slipway", "version": self.view.version, "extensions": []})
        parts = path.strip("/").split("/")
        if parts[:2] == ["v2", "models"] and len(parts) in (3, 4, 5, 6):
            rest = parts[3:]
            if rest[:1] == ["versions"] and len(rest) > 1:
                self._require_version(parts[2], *rest[:2])
                rest = rest[2:]
            if rest == ["ready"]:
                return shown_as_json({"name": parts[2], "ready": parts[2] in self.models.current()})
            if not rest:
                return shown_as_json(oip_metadata(self._loaded(parts[2]).served))
        raise NotAnswered(404, "there is nothing at this path")

    def _not_ready(self) -> str | None:
        if self.draining:
            return "it is ending"
        loaded = self.models.current()
        lacking = [name for name in self.view.declared() if name not in loaded]
        if lacking or not loaded:
            return f"no checked model: {', '.join(lacking) or 'none is declared online'}"
        return None

    # --- predictions -------------------------------------------------------------------------------------------------

    async def _predicted(
        self, scope: Message, name: str, protocol: Protocol, receive: Receive, asker: tuple[float, bool]
    ) -> Reply:
        """``asker``: when the request came in, and whether whoever sent it may know who answers."""
        body = await self._body(scope, receive)
        crashpoint("serve.admitted")
        loaded = self._loaded(name)
        terms = Terms(
            began=asker[0],
            deadline_s=_deadline(scope, loaded.served.deadline_s),
            trace=_header(scope, b"traceparent"),
            unit=_unit(scope, loaded.served.unit),
            tells=asker[1],
        )
        asked = protocol.read(parsed(body), loaded.served)
        header = _header(scope, b"x-request-id")
        if asked.request_id is None and header:
            if not is_id(header):
                raise NotAnswered(422, "x-request-id is a text of 1 to 200 visible characters")
            asked = AskedRequest(header, asked.rows)
        draw = self.answerer.draw(asked, loaded, terms)
        at_once = self.answerer.at_once(loaded, draw)
        if not at_once or loaded.served.durability != "process":
            return await self._predicted_later(protocol, asked, loaded, terms, draw, body)
        # From here on nothing waits: two requests of one id never meet in the middle.
        if asked.request_id is not None:
            known = self._remembered.reply_to((protocol.name, name, asked.request_id), body)
            if known is not None:
                return known
        return self._said(protocol, asked, self.answerer.answer(asked, loaded, terms, draw), body)

    async def _predicted_later(
        self,
        protocol: Protocol,
        asked: AskedRequest,
        loaded: LoadedModel,
        terms: Terms,
        draw: Draw | None,
        body: bytes,
    ) -> Reply:
        """Where a pipeline or the disk is waited for: two requests of one id may meet, and then the second waits for
        the first."""

        async def answered() -> Reply:
            if self.answerer.at_once(loaded, draw):
                made = self.answerer.answer(asked, loaded, terms, draw)
            else:
                made = await self.answerer.answer_slowly(asked, loaded, terms, draw)
            return self._said(protocol, asked, await self._kept(made), body)

        key = None if asked.request_id is None else (protocol.name, loaded.served.model, asked.request_id)
        try:
            within_s = terms.left_s() + (GRACE_S if draw is not None and draw.asked else 0.0)
            return await asyncio.wait_for(self._remembered.once(key, body, answered), within_s)
        except TimeoutError:
            raise terms.late() from None

    async def _kept(self, made: AnsweredRequest) -> AnsweredRequest:
        """The same answer, when it survives what its model's declaration says it survives."""
        served = made.served
        if served.durability == "process" or not made.counted:
            return made
        if await on_disk(self._books.answers, served.model, self.counters):
            return made
        self.counters.add(labelled("slipway_journal_failed_total", model=served.model), len(made.predictions))
        if served.on_journal_full == "refuse":
            raise NotAnswered(503, "the answer is not known to be on the disk, so it is not given")
        return replace(made, counted=False)

    def _said(self, protocol: Protocol, asked: AskedRequest, answered: AnsweredRequest, body: bytes) -> Reply:
        served = answered.served
        headers = [
            (b"x-slipway-request-id", answered.request_id.encode()),
            (b"x-slipway-revision", str(served.revision).encode()),
        ]
        if answered.served_by:
            headers.append((b"x-slipway-served-by", ", ".join(answered.served_by).encode()))
        if not answered.counted:
            headers.append((b"x-slipway-uncounted", b"1"))
        reply = Reply(200, _encode(protocol.said(answered)), tuple(headers))
        if asked.request_id is not None:
            self._remembered.keep((protocol.name, served.model, asked.request_id), body, reply)
        return reply

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        length = _header(scope, b"content-length")
        if length is not None and length.isdigit() and int(length) > MOST_BYTES:
            raise NotAnswered(413, f"the body has {int(length):,} bytes; at most {MOST_BYTES:,} are read")
        if (_header(scope, b"content-encoding") or "identity") != "identity":
            raise NotAnswered(415, "a compressed body is not read")
        if "csv" in (_header(scope, b"content-type") or ""):
            raise NotAnswered(415, "csv is not read; send JSON")
        if _header(scope, b"inference-header-content-length") is not None:
            raise NotAnswered(415, "binary tensors are not read; send JSON (binary_data=False)")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > MOST_BYTES:
                        raise NotAnswered(413, f"the body has more than {MOST_BYTES:,} bytes")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise NotAnswered(408, f"the body did not come within {self.limits.body_s:g} s") from None
        return b"".join(parts)


class _Gone(Exception):
    """The client left before its body had come."""


def _told_of(path: str) -> str | None:
    """The model of whose rows a path is told the outcomes; None for any other path."""
    parts = path.strip("/").split("/")
    return parts[2] if len(parts) == 4 and parts[:2] == ["v1", "models"] and parts[3] == "outcomes" else None


def _header(scope: Message, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


def _unit(scope: Message, unit: str) -> str | None:
    """The header that arms are chosen by, where they are chosen by one."""
    return _header(scope, unit.partition(":")[2].lower().encode()) if unit.startswith("header:") else None


def _deadline(scope: Message, usual_s: float) -> float:
    given = _header(scope, b"x-slipway-deadline-ms")
    if given is None:
        return usual_s
    if not given.isdigit() or not 0 < int(given) <= 60_000:
        raise NotAnswered(422, "x-slipway-deadline-ms is a whole number from 1 to 60000")
    return min(usual_s, int(given) / 1000)
