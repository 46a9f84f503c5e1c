"""A port that nobody uses."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Of 127.0.0.1; free until somebody else takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
