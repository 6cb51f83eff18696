"""Puts a process off every network but its own machine: any other connection is refused, and written down.

Python imports this module by itself when its folder is on ``PYTHONPATH``; the end-to-end tests put it there, so that it
holds in every service and every task.
"""

import os
import socket

_connect, _connect_ex, _resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


def _allowed(host):
    return host is None or str(host or "localhost").startswith(LOCAL) or host in ("", socket.gethostname())


def _refuse(host):
    with open(os.environ["SLIPWAY_TEST_OUTSIDE_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {host}\n")
    raise OSError(101, f"Network is unreachable: {host} is outside this machine")


def _guarded(connect):
    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _allowed(address[0]):
            _refuse(address[0])
        return connect(self, address)

    return guarded


def getaddrinfo(host, *args, **kwargs):
    if not _allowed(host.decode() if isinstance(host, bytes) else host):
        _refuse(host)
    return _resolve(host, *args, **kwargs)


socket.socket.connect, socket.socket.connect_ex = _guarded(_connect), _guarded(_connect_ex)
socket.getaddrinfo = getaddrinfo
