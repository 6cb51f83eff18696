"""How one request to Airflow's API is made: logged in, tried again where that is safe, and refused in one sentence.

Reads and writes with a name of their own (a run id) are tried again when the connection or the server fails; an effect
of the first try is recognised by that name, so nothing happens twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from include.domain.errors import Unavailable

PAGE = 100
_RETRIED = frozenset({500, 502, 503, 504})
_PAUSES_S = (0.3, 1.0, 2.0, 4.0)

Json = dict[str, Any]


class AirflowError(RuntimeError):
    """Airflow did not do what it was asked; the message is one sentence with the server's reason."""


class AirflowUnreachable(AirflowError, Unavailable):
    """No answer, or no usable one, from the server."""


class AirflowRefused(AirflowError):
    """The server answered no: a mistake in the request, a missing right, an unknown name."""

    def __init__(self, status: int, doing: str, reason: str) -> None:
        self.status = status
        self.exit_code = 77 if status in (401, 403) else 64
        self.reason = reason
        super().__init__(f"Airflow refused to {doing} ({status}): {reason}")


class AlreadyThere(AirflowRefused):
    """The server answered that this exists or is under way already (409)."""


class Transport:
    """The connection of one user to one Airflow. Use it in a ``with`` block, or close it."""

    def __init__(self, url: str, username: str, password: str, *, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._token: str | None = None
        # A proxy never leads to this machine.
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=not local)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _get(self, path: str, doing: str, query: Json | None = None) -> Json:
        return self._call("GET", path, doing, query=query, named=True)

    def _pages(
        self, path: str, key: str, doing: str, query: Json | None = None, most: int | None = None
    ) -> Iterator[Json]:
        offset = 0
        while most is None or offset < most:
            limit = PAGE if most is None else min(PAGE, most - offset)
            page = self._get(path, doing, {**(query or {}), "limit": limit, "offset": offset})[key]
            yield from page
            offset += len(page)
            if len(page) < limit:
                return

    def _call(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        body: Json | None = None,
        query: Json | None = None,
        named: bool,
        headers: dict[str, str] | None = None,
    ) -> Json:
        """One request, below ``/api/v2`` unless its path begins with a slash. ``named`` says that making it twice is
        the same as once, so that it may be tried again."""
        pauses = iter(_PAUSES_S if named else ())
        while True:
            try:
                answer = self._authorised(lambda: self._send(method, path, body, query, headers))
            except httpx.HTTPError as error:
                problem: AirflowError = AirflowUnreachable(f"Airflow at {self.url} did not {doing}: {said(error)}.")
                # A connection that was never made did nothing.
                retry = named or isinstance(error, httpx.ConnectError)
            else:
                if answer.is_success:
                    return dict(answer.json()) if answer.content else {}
                if answer.status_code not in _RETRIED:
                    kind = AlreadyThere if answer.status_code == 409 else AirflowRefused
                    raise kind(answer.status_code, doing, _reason(answer))
                problem = AirflowUnreachable(f"Airflow could not {doing} ({answer.status_code}): {_reason(answer)}")
                retry = named
            pause = next(pauses, None) if retry else None
            if pause is None:
                raise problem from None
            time.sleep(pause)

    def _send(
        self, method: str, path: str, body: Json | None, query: Json | None, more: dict[str, str] | None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", **(more or {})}
        whole = path if path.startswith("/") else f"/api/v2/{path}"
        return self._http.request(method, whole, json=body, params=query, headers=headers)

    def _authorised(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send with a token, and once more with a new one where the old has expired or the server has new keys."""
        fresh = self._token is None
        if fresh:
            self._log_in()
        answer = send()
        if not fresh and (answer.status_code == 401 or (answer.status_code == 403 and "JWT" in answer.text)):
            self._log_in()
            answer = send()
        return answer

    def _log_in(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        if answer.status_code == 401:
            raise AirflowRefused(401, f"log in {self._login['username']}", _reason(answer))
        answer.raise_for_status()
        self._token = str(answer.json()["access_token"])


def _reason(answer: httpx.Response) -> str:
    """The server's reason in one sentence, whatever shape it has."""
    try:
        said_no = answer.json()
        detail = said_no.get("detail") or said_no.get("message") or answer.text
    except (ValueError, AttributeError):
        detail = answer.text
    if isinstance(detail, list):
        parts = [f"{'.'.join(map(str, d['loc'][1:])) or 'the request'}: {d['msg']}" for d in detail]
        text = "; ".join(parts)
    elif isinstance(detail, dict):
        text = str(detail.get("reason") or json.dumps(detail))
    else:
        text = str(detail)
    # A schema error goes on with the schema, which the first line has already named.
    line = text.strip().split("\n")[0].strip()
    return (line or "no reason given").rstrip(".") + "."


def said(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "nothing listens there"
    return (str(error).split("\n")[0] or type(error).__name__).rstrip(".")
