"""A port that nobody uses."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10_000
"""Below it are the ports of known services. Chosen by hand."""
_dice = random.SystemRandom()


def free_port() -> int:
    """Of 127.0.0.1; free until somebody else asks for this very one: connections are not given it by the system."""
    while True:
        port = _dice.randrange(_LOWEST, _lowest_given())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _lowest_given() -> int:
    """From here on the system gives ports to connections and to whoever asks for any."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768
    return lowest if lowest > _LOWEST + 1000 else 65_536
