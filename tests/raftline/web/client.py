"""The application, really served, and asked as the page asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from raftline.web.access.address import Address
from raftline.web.access.rights import Access
from raftline.web.access.sessions import COOKIE
from raftline.web.access.users import User, Users, hashed
from raftline.web.app import guarded, make_app
from raftline.web.watched_fleet import WatchedFleet
from raftline.web.watched_run import WatchedRun

TOKEN = "a token of many characters"
USERS = {
    "ann": (User("ann", "change"), "ann's password"),
    "bob": (User("bob", "look", frozenset({"gate"})), "bob's password"),
    "cid": (User("cid", "change", frozenset({"gate"})), "cid's password"),
}
_hashes: dict[str, str] = {}


class Page:
    """A page that is served on a port of its own."""

    def __init__(self, app: FastAPI, host: str) -> None:
        self.app, self.host = app, host
        self.url = f"http://{host}"
        self._clients: list[httpx.Client] = []

    def client(self, user: str | None = None) -> httpx.Client:
        """Asks as the page does; as a user who is logged in, if one is named."""
        cookies = {} if user is None else {COOKIE: self.app.state.access.sessions.begin(USERS[user][0])}
        made = httpx.Client(
            base_url=self.url, headers={"X-Raftline": "1"}, cookies=cookies, trust_env=False, timeout=60
        )
        self._clients.append(made)
        return made

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            client.close()


@contextmanager
def served(run: WatchedRun, users: bool = True, fleet: WatchedFleet | None = None) -> Iterator[Page]:
    """The page of a run, with the users above and the token, or with neither."""
    app = make_app(run, Access(some_users() if users else None), fleet)
    address = Address("127.0.0.1", 0)
    with address.bound() as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            guarded(app, lambda: address.names((), port)),  # type: ignore[arg-type]
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        try:
            page = Page(app, f"127.0.0.1:{port}")
            yield page
            page.close()
        finally:
            server.should_exit = True
            thread.join()


def some_users() -> Users:
    """The users above, and the token."""
    for name, (_, password) in USERS.items():
        _hashes.setdefault(name, hashed(password))
    return Users({name: (user, _hashes[name]) for name, (user, _) in USERS.items()}, TOKEN)


def log_in(asks: httpx.Client, name: str, password: str) -> httpx.Response:
    """The answer to a try."""
    return asks.post("/api/session", json={"name": name, "password": password})


def names(answer: Any) -> list[str]:
    """Of the sources in an answer."""
    return [source["name"] for source in answer["sources"]]
