"""Whether an RTSP server is there and answers, asked in a way that can be broken off.

FFmpeg's own connecting cannot be: while a camera is off it would hold up a stop for as long as it may take to connect.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from urllib.parse import urlsplit

from stages.decoder.containers import SourceSilent

_POLL_SECONDS = 0.2


def wait_for_answer(url: str, timeout_seconds: float, stopped: threading.Event) -> None:
    """Return when the server answers an OPTIONS request (``rtsps``: when it accepts a connection), or when stopped.

    Raises:
        SourceSilent: no answer in time, or the connection was closed without one.
        OSError: the connection was refused, or there is no such host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return  # A password with characters of its own: FFmpeg reads such URLs, we leave it to it.
    if host is None:
        return
    secure = parts.scheme.lower() == "rtsps"
    address = socket.getaddrinfo(host, port or (322 if secure else 554), type=socket.SOCK_STREAM)[0]
    deadline = time.monotonic() + timeout_seconds
    with socket.socket(address[0], socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        begun = connection.connect_ex(address[4])
        if begun not in (0, errno.EINPROGRESS):
            raise OSError(begun, os.strerror(begun))
        if not _ready(connection, select.POLLOUT, deadline, stopped):
            return
        failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        if secure:
            return
        place = f"rtsp://{f'[{host}]' if ':' in host else host}:{port or 554}{parts.path or '/'}"
        connection.send(f"OPTIONS {place} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        if _ready(connection, select.POLLIN, deadline, stopped) and not connection.recv(16):
            raise SourceSilent("the connection was closed without an answer")


def _ready(connection: socket.socket, event: int, deadline: float, stopped: threading.Event) -> bool:
    """False when stopped first. Raises `SourceSilent` at the deadline."""
    poll = select.poll()
    poll.register(connection, event)
    while not stopped.is_set():
        if poll.poll(_POLL_SECONDS * 1000):
            return True
        if time.monotonic() > deadline:
            raise SourceSilent("no answer in time")
    return False
