"""Check whether a camera or server answers, in a way that can be interrupted.

FFmpeg's own connection attempt cannot be: while a camera is off it would delay a stop by the whole timeout.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stages.decoder.containers import SourceSilent

_POLL_SECONDS = 0.2
"""How often a stop is looked for: soon enough for a person, and no load."""
_ASK_SECONDS = 2.0
"""How often a held connection is asked, and a server that holds none is connected to. Chosen by hand."""
_AGAIN_SECONDS = 0.25
"""How often a server that is away is tried: no load for a device that is off. Chosen by hand."""
_AWAY_SECONDS = 5.0
"""Who does not answer for so long is away. Chosen by hand: a camera answers within tens of milliseconds."""
_ANSWER_BYTES = 4096
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Registered with IANA. RTMP is left to FFmpeg: some senders serve the first connection alone."""


@dataclass(frozen=True)
class Server:
    """Where a URL's server listens, and what it is asked."""

    host: str
    port: int
    options: bytes
    """A request for which nobody has to log in; empty for protocols other than RTSP."""

    @classmethod
    def of(cls, url: str) -> Server | None:
        """None for schemes that are left to FFmpeg, and for what only FFmpeg can read."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None  # a password with reserved characters
        scheme = parts.scheme.lower()
        if host is None or scheme not in _PORTS:
            return None
        port = port or _PORTS[scheme]
        target = f"rtsp://{f'[{host}]' if ':' in host else host}:{port}{parts.path or '/'}"
        return cls(host, port, f"OPTIONS {target} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode() if scheme == "rtsp" else b"")

    @contextmanager
    def connected(self, deadline: float, stopped: threading.Event) -> Iterator[socket.socket]:
        """A connection; it may not be there yet if stopped first. Raises OSError, or `SourceSilent` at the deadline."""
        address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], socket.SOCK_STREAM) as connection:
            _connect(connection, address[4], deadline, stopped)
            yield connection

    def ask(self, connection: socket.socket, deadline: float, stopped: threading.Event) -> None:
        """Wait for an answer to a request, or until stopped. Raises as `connected`."""
        if stopped.is_set() or not self.options:
            return
        connection.send(self.options)
        if _ready(connection, select.POLLIN, deadline, stopped) and not connection.recv(_ANSWER_BYTES):
            raise SourceSilent("the connection was closed without an answer")


def wait_for_answer(url: str, timeout_seconds: float, stopped: threading.Event) -> None:
    """Return when the server accepts a connection (``rtsp``: answers an OPTIONS request), or when stopped.

    At once for other schemes.

    Raises:
        SourceSilent: the server did not answer in time, or closed the connection.
        OSError: the connection was refused, or the host does not exist.
    """
    server = Server.of(url)
    if server is None:
        return
    deadline = time.monotonic() + timeout_seconds
    with server.connected(deadline, stopped) as connection:
        server.ask(connection, deadline, stopped)


def wait_for_restart(url: str, seconds: float, stopped: threading.Event) -> bool:
    """Wait for so long, until stopped, or until the server was away and is back, which is true.

    Nobody logs in meanwhile: a connection is held and asked for its options now and then. That it is closed only makes
    this look at once: some servers close what is idle. Away is who refuses a new one, or answers none.
    """
    server = Server.of(url)
    until, away, was_short = time.monotonic() + seconds, False, False
    while not stopped.is_set() and (now := time.monotonic()) < until:
        if server is None:
            stopped.wait(until - now)
            continue
        answered = False
        try:
            with server.connected(now + _AWAY_SECONDS, stopped) as connection:
                server.ask(connection, now + _AWAY_SECONDS, stopped)
                if away and not stopped.is_set():
                    return True
                answered = True
                _hold(server, connection, until, stopped)
        except (SourceSilent, OSError):
            away = away or not answered
        short = time.monotonic() - now < _ASK_SECONDS
        if away or (short and was_short):  # else it is looked at once: it may have gone
            stopped.wait(_AGAIN_SECONDS if away else _ASK_SECONDS)
        was_short = short
    return False


def _hold(server: Server, connection: socket.socket, until: float, stopped: threading.Event) -> None:
    """Keep a connection until it breaks (see `Server.ask`), is closed, or the time is over."""
    while not stopped.is_set() and (now := time.monotonic()) < until:
        pause = min(until, now + _ASK_SECONDS)
        while not stopped.is_set() and time.monotonic() < pause:
            if _readable(connection) and not connection.recv(_ANSWER_BYTES):
                return
        server.ask(connection, time.monotonic() + _AWAY_SECONDS, stopped)


def _connect(connection: socket.socket, address: Any, deadline: float, stopped: threading.Event) -> None:
    """Connect, or stop trying when stopped. Raises OSError, or `SourceSilent` at the deadline."""
    connection.setblocking(False)
    begun = connection.connect_ex(address)
    if begun not in (0, errno.EINPROGRESS):
        raise OSError(begun, os.strerror(begun))
    if not _ready(connection, select.POLLOUT, deadline, stopped):
        return
    failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))


def _readable(connection: socket.socket) -> bool:
    """Whether something comes, or the connection is closed, within a moment."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(_POLL_SECONDS * 1000))


def _ready(connection: socket.socket, event: int, deadline: float, stopped: threading.Event) -> bool:
    """Wait for the event; false if stopped first. Raises `SourceSilent` at the deadline."""
    poll = select.poll()
    poll.register(connection, event)
    while not stopped.is_set():
        if poll.poll(_POLL_SECONDS * 1000):
            return True
        if time.monotonic() > deadline:
            raise SourceSilent("no answer in time")
    return False
