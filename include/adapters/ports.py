"""Ports that are about to be used: whether they can be, and how a person chooses others."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from include.domain.errors import Unavailable


class PortTaken(Unavailable):
    """One or more ports that are needed are in use, not allowed, or asked for twice."""


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port that is about to be used: by whom, and how a person chooses another."""

    number: int
    purpose: str
    change_with: str
    """The option or variable that changes it, for example ``--airflow-port or SLIPWAY_AIRFLOW_PORT``."""


def check_ports(host: str, uses: Iterable[PortUse]) -> None:
    """Check every port before anything is started.

    Raises:
        PortTaken: one line that names every port that cannot be used, and what changes it.
    """
    problems = []
    seen: dict[int, str] = {}
    for use in uses:
        if use.number in seen:
            problem: str | None = f"is also meant for {seen[use.number]}"
        else:
            problem = _why_not(host, use.number)
        seen[use.number] = use.purpose
        if problem:
            problems.append(f"port {use.number} for {use.purpose} {problem} (choose another with {use.change_with})")
    if problems:
        text = "; ".join(problems)
        raise PortTaken(f"{text[0].upper()}{text[1:]}.")


def _why_not(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: connections of an earlier run that are still closing do not count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            return "is not allowed: ports below 1024 belong to the administrator"
        except (OSError, OverflowError) as error:
            in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            return "is in use" if in_use else f"cannot be used: {error}"
    # On macOS a bind to one address succeeds beside a listener on all of them.
    with contextlib.suppress(OSError), socket.create_connection((host or "127.0.0.1", port), timeout=0.2):
        return "is in use"
    return None


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports without a listener at this moment, all different; for tests."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]
