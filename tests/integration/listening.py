"""A mail server and a Slack that listen on this machine and keep what they were sent."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Smtp(socketserver.ThreadingTCPServer):
    """Enough of RFC 5321 to take a mail."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SmtpTalk)
        self.mails: list[tuple[list[str], EmailMessage]] = []
        """Each mail with those it was sent to."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _SmtpTalk(socketserver.StreamRequestHandler):
    server: Smtp

    def handle(self) -> None:
        self._say("220 here")
        to: list[str] = []
        while line := self.rfile.readline().decode().strip():
            verb = line.upper()
            if verb.startswith("RCPT TO:"):
                to.append(line[8:].strip().strip("<>"))
            if verb == "DATA":
                self._say("354 go on")
                self._take(to)
                to = []
            self._say("221 bye" if verb == "QUIT" else "250 fine")
            if verb == "QUIT":
                return

    def _take(self, to: list[str]) -> None:
        body = b""
        while (line := self.rfile.readline()) != b".\r\n":
            body += line[1:] if line.startswith(b"..") else line
        parsed = email.message_from_bytes(body, policy=email.policy.default)
        self.server.mails.append((to, parsed))  # type: ignore[arg-type]

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _SlackTalk(BaseHTTPRequestHandler):
    messages: ClassVar[list[tuple[str, str | None, dict[str, Any]]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.messages.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"ok": true}')

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def smtp() -> Iterator[Smtp]:
    with Smtp() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def slack() -> Iterator[tuple[int, list[tuple[str, str | None, dict[str, Any]]]]]:
    """The port, and each message as (path, authorization, body)."""
    talk = type("Talk", (_SlackTalk,), {"messages": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), talk) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield int(server.server_address[1]), talk.messages
        server.shutdown()
