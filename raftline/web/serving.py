"""Serve the page: check who may come in, listen, and run until the signal or the run's end."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError
from raftline.web.access.address import Address
from raftline.web.access.users import Users

TOKEN = "RAFTLINE_WEB_TOKEN"
"""Environment variable with the token: an argument would be seen by everybody on the machine."""
CONTROL = "RAFTLINE_CONTROL"
"""Environment variable with the URL of a fleet's control Redis, which may hold a password."""
_NEEDED = ("fastapi", "uvicorn", "websockets", "ruamel.yaml")
_GRACE_SECONDS = 2
"""How long open answers, such as live video, may go on once the server ends. Chosen by hand."""


@dataclass(frozen=True)
class Serving:
    """What the page is served with."""

    address: Address
    users: Users | None
    allowed_hosts: tuple[str, ...] = ()

    @classmethod
    def checked(cls, listen: str, users_file: Path | None, allowed_hosts: Sequence[str]) -> Serving:
        """Refuses what strangers could come in by.

        Raises:
            ConfigError: If a package is missing, the address is wrong, or one that others reach has neither users nor a
                token, or no name.
        """
        missing = [name for name in _NEEDED if importlib.util.find_spec(name.partition(".")[0]) is None]
        if missing:
            raise ConfigError(
                f"the page needs {', '.join(missing)}, which is not installed: pip install 'raftline[web]'"
            )
        address = Address.parse(listen)
        users = Users.read(users_file, os.environ.get(TOKEN) or None)
        if not address.loopback and users is None:
            raise ConfigError(
                f"the page on {address} can be reached by other machines, so it needs a token or users: set {TOKEN} in "
                "the environment, or make a file of users with raftline web --users users.yaml --add-user NAME; "
                "or listen on 127.0.0.1"
            )
        if address.everywhere and not allowed_hosts:
            raise ConfigError(
                f"the page on {address} answers only under names that it knows: give those people type, with the port, "
                f"such as --allow-host {socket.gethostname()}:{address.port}"
            )
        return cls(address, users, tuple(allowed_hosts))


def serve(
    serving: Serving,
    listening: socket.socket,
    name: str | None,
    redis_url: str | None,
    output: Path | None,
    fleet: tuple[str, str | None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        serving: Who may come in.
        listening: Socket that is bound.
        name: Of the pipeline; None: the only one that runs here.
        redis_url: Of its server; None: found by the run directories of this user.
        output: Directory of its results; None: as the run says.
        fleet: The fleet of its host: URL of the control Redis, and its name.
    """
    import uvicorn

    from raftline.web.access.rights import Access
    from raftline.web.app import guarded, make_app
    from raftline.web.watched_fleet import WatchedFleet
    from raftline.web.watched_run import WatchedRun

    port = listening.getsockname()[1]
    hosts = serving.address.names(serving.allowed_hosts, port)
    watched = None if fleet is None else WatchedFleet(*fleet)
    app = make_app(WatchedRun(name, redis_url, output), Access(serving.users), watched)
    config = uvicorn.Config(
        guarded(app, lambda: hosts),  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ws_per_message_deflate=False,  # video cannot be compressed, and trying costs twice what sending it does
    )
    uvicorn.Server(config).run(sockets=[listening])


def end_with_parent() -> None:
    """End this process when the one that started it ends, however that ends: its pipe to our standard input breaks."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent watch", daemon=True).start()
