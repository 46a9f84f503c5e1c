"""Where the page listens, and under which names it answers."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigError

DEFAULT_LISTEN = "127.0.0.1:8642"
_BACKLOG = 128


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``HOST:PORT``, ``[IPV6]:PORT`` or a port alone, which means loopback. Raises `ConfigError`."""
        match = re.fullmatch(r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+)):)?(?P<port>\d{1,5})", text)
        if match is None or int(match["port"]) > 65535:
            raise ConfigError(
                f"the page's address: found {text!r}; allowed: HOST:PORT or [IPV6]:PORT with a port from 0 to 65535, "
                f"such as {DEFAULT_LISTEN}"
            )
        return cls(match["six"] or match["host"] or "127.0.0.1", int(match["port"]))

    @property
    def loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def everywhere(self) -> bool:
        """Whether it is every address of this machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bound(self) -> socket.socket:
        """A socket that listens there. Raises `ConfigError` where it cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"the page cannot listen on {self}: {error.strerror or error}; choose another address or port"
            ) from error

    def names(self, given: Sequence[str], port: int) -> frozenset[str]:
        """What a request's Host may be: an exact list, so that no other name that resolves here is answered.

        Args:
            given: Names that the user allows, with a port where it is not 80 or 443.
            port: The one that was bound.
        """
        own = ["localhost", "127.0.0.1", "[::1]"] if self.loopback else []
        if not self.everywhere:
            own.append(f"[{self.host}]" if ":" in self.host else self.host)
        return frozenset(name.lower() for name in [*(f"{name}:{port}" for name in own), *given])
