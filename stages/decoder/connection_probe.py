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
from typing import Any
from urllib.parse import urlsplit

from stages.decoder.containers import SourceSilent

_POLL_SECONDS = 0.2
"""How often a stop is looked for: soon enough for a person, and no load."""
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Registered with IANA. RTMP is left to FFmpeg: some senders serve the first connection alone."""


def wait_for_answer(url: str, timeout_seconds: float, stopped: threading.Event) -> None:
    """Return when the server accepts a connection (``rtsp``: answers an OPTIONS request), or when stopped.

    At once for other schemes.

    Raises:
        SourceSilent: the server did not answer in time, or closed the connection.
        OSError: the connection was refused, or the host does not exist.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return  # A password with reserved characters: FFmpeg can read such URLs.
    scheme = parts.scheme.lower()
    if host is None or scheme not in _PORTS:
        return
    port = port or _PORTS[scheme]
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    deadline = time.monotonic() + timeout_seconds
    with socket.socket(address[0], socket.SOCK_STREAM) as connection:
        if not _connected(connection, address[4], deadline, stopped) or scheme != "rtsp":
            return
        target = f"rtsp://{f'[{host}]' if ':' in host else host}:{port}{parts.path or '/'}"
        connection.send(f"OPTIONS {target} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        if _ready(connection, select.POLLIN, deadline, stopped) and not connection.recv(16):
            raise SourceSilent("the connection was closed without an answer")


def _connected(connection: socket.socket, address: Any, deadline: float, stopped: threading.Event) -> bool:
    """Connect; false if stopped first. Raises OSError, or `SourceSilent` at the deadline."""
    connection.setblocking(False)
    begun = connection.connect_ex(address)
    if begun not in (0, errno.EINPROGRESS):
        raise OSError(begun, os.strerror(begun))
    if not _ready(connection, select.POLLOUT, deadline, stopped):
        return False
    failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))
    return True


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
