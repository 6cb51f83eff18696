"""A TCP proxy before a server, that carries out requests and loses the replies to those a test names."""

from __future__ import annotations

import contextlib
import socket
import threading


class LosingProxy:
    """Forwards one connection at a time to ``port``; while ``lose`` is in a request's first line, its reply is dropped
    after the server has given it, and the connection is cut. ``times`` is how many replies; ``lost`` how many were."""

    def __init__(self, port: int, lose: str, times: int) -> None:
        self.port, self.lose, self.left, self.lost = port, lose.encode(), times, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> LosingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as server:
            wanted = threading.Event()
            back = threading.Thread(target=self._answer, args=(server, caller, wanted), daemon=True)
            back.start()
            while sent := caller.recv(65536):
                with self._lock:
                    if self.left and self.lose in sent.partition(b"\r\n")[0]:
                        self.left -= 1
                        wanted.set()
                server.sendall(sent)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(self, server: socket.socket, caller: socket.socket, wanted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while got := server.recv(65536):
                if wanted.is_set():
                    self.lost += 1
                    caller.shutdown(socket.SHUT_RDWR)
                    return
                caller.sendall(got)
            caller.shutdown(socket.SHUT_WR)
