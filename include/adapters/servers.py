"""Whether an HTTP server answers at all."""

from __future__ import annotations

import httpx


def answers(url: str, timeout_s: float = 3.0) -> bool:
    """Whether a GET of ``url`` on this machine is answered with success in time."""
    try:
        return httpx.get(url, timeout=timeout_s, trust_env=False).is_success
    except httpx.HTTPError:
        return False
