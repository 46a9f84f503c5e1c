"""A way to Redis that breaks: every connection is cut at one command, before the server sees it or before its reply."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Moment = Literal["before the server", "before the reply"]


class CuttingProxy:
    """Forwards a unix socket to another, and cuts all connections once: at the `cut_at`-th command after `armed`."""

    def __init__(self, path: Path, server: str, cut_at: int, moment: Moment) -> None:
        self.url = f"unix://{path}"
        self.commands = 0
        self.cut = self.armed = False
        self._server, self._cut_at, self._moment = server, cut_at, moment
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self._cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                due = counts and self._count()
                if due and self._moment == "before the server":
                    self._cut_all()
                    return
                if due:
                    source.shutdown(socket.SHUT_WR)  # the reply goes nowhere
                sink.sendall(data)
                if due:
                    self._cut_all()
                    return

    def _count(self) -> bool:
        with self._lock:
            self.commands += self.armed
            due = not self.cut and self.commands == self._cut_at
            self.cut = self.cut or due
            return due

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


@contextmanager
def cutting_proxy(path: Path, server: str, cut_at: int, moment: Moment) -> Iterator[CuttingProxy]:
    """Listens at `path`; `server` is the path of the server's own socket."""
    proxy = CuttingProxy(path, server, cut_at, moment)
    try:
        yield proxy
    finally:
        proxy.close()
