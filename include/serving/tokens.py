"""Who may ask: tokens of which only the sha256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.adapters import files
from include.domain.errors import Refusal

ADMIN, EVERY, DEBUG = "admin", "predict:*", "debug"


class TokensUnreadable(Refusal):
    """The file of tokens cannot be read: nothing is answered then."""


class Tokens:
    """The tokens of a home. Without any, whoever reaches the port may ask."""

    def __init__(
        self,
        known: Mapping[str, tuple[str, ...]],
        rates: Mapping[str, float] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """``known``: sha256 in hex to scopes; ``rates``: how often a second each may ask, where that is limited;
        ``names``: whose each is."""
        self._known, self._names = dict(known), dict(names or {})
        self._rates = dict(rates or {})
        self._left: dict[str, tuple[float, float]] = {}
        """Of a limited token: how many questions are left, and as of when."""

    def __bool__(self) -> bool:
        return bool(self._known)

    def scopes(self, token: str) -> tuple[str, ...] | None:
        """The token's scopes; None for an unknown one. Each comparison takes as long as every other."""
        asked, found = _hash(token), None
        for known, scopes in self._known.items():
            if hmac.compare_digest(asked, known):
                found = scopes
        return found

    def name(self, token: str) -> str:
        """Whose token it is; empty where that is not known."""
        return self._names.get(_hash(token), "")

    def takes(self, token: str, now: float) -> bool:
        """Count one question; False where the token has asked too often. A second's worth may come at once.

        >>> tokens = Tokens({_hash("shop"): (EVERY,)}, {_hash("shop"): 2.0})
        >>> [tokens.takes("shop", now) for now in (0.0, 0.0, 0.1, 0.6)]
        [True, True, False, True]
        """
        if not self._rates:
            return True
        name = _hash(token)
        rate = self._rates.get(name)
        if rate is None:
            return True
        most = max(1.0, rate)
        left, before = self._left.get(name, (most, now))
        left = min(most, left + (now - before) * rate)
        allowed = left >= 1.0
        self._left[name] = (left - 1.0 if allowed else left), now
        return allowed


def may(scopes: tuple[str, ...], model: str, what: str = "predict") -> bool:
    """Whether one may ask the model for predictions, or tell the outcomes of its answers.

    >>> may(("predict:*",), "wind"), may(("predict:*",), "wind", "outcomes")
    (True, False)
    """
    return ADMIN in scopes or f"{what}:*" in scopes or f"{what}:{model}" in scopes


def may_look(scopes: tuple[str, ...]) -> bool:
    """Whether one may know which arm answers whom."""
    return DEBUG in scopes or ADMIN in scopes


def file_in(home: Path) -> Path:
    """The file of tokens of a home."""
    return home / "keys" / "serve.json"


def read(file: Path) -> Tokens:
    """The tokens of a file; none where it is not there.

    Raises:
        TokensUnreadable: for a file that holds something else.
    """
    if not file.exists():
        return Tokens({})
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        each_of = data["tokens"]
        rates = {each["sha256"]: float(each["rate"]) for each in each_of if each.get("rate") is not None}
        names = {each["sha256"]: str(each.get("name", "")) for each in each_of}
        return Tokens({each["sha256"]: tuple(map(str, each["scopes"])) for each in each_of}, rates, names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokensUnreadable(
            f"The tokens in {file} cannot be read ({error}); remove it and make new ones: `slipway serve token NAME`."
        ) from None


def add(file: Path, name: str, scopes: list[str], rate: float | None = None) -> str:
    """A new token, which is shown once and kept nowhere; one of the same name is replaced."""
    read(file)
    kept = json.loads(file.read_text(encoding="utf-8"))["tokens"] if file.exists() else []
    token = f"slw_{secrets.token_urlsafe(32)}"
    tokens = [
        *(each for each in kept if each["name"] != name),
        {"name": name, "sha256": _hash(token), "scopes": scopes, **({} if rate is None else {"rate": rate})},
    ]
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_text(file, json.dumps({"tokens": tokens}, indent=2) + "\n")
    os.chmod(file, 0o600)
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()
