"""Who is logged in, and how often one may try."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable

from raftline.web.access.users import User

COOKIE = "raftline_session"
KEPT_SECONDS = 7 * 86400
"""A session ends so long after it was last used. Chosen by hand: a page on the wall stays logged in."""
_MOST_SESSIONS = 1000
_FAILURES, _WINDOW_SECONDS = 5, 60.0
"""Wrong tries in a minute, per address, before the next is refused unseen. Chosen by hand."""
_MOST_ADDRESSES = 4096

Clock = Callable[[], float]


class Sessions:
    """In memory alone: they end with the server. Only a hash of each is kept."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._users: dict[str, tuple[User, float]] = {}

    def begin(self, user: User) -> str:
        """The cookie's value for a user who has just logged in."""
        while len(self._users) >= _MOST_SESSIONS:
            self._users.pop(next(iter(self._users)))
        cookie = secrets.token_urlsafe(32)
        self._users[_key(cookie)] = (user, self._clock() + KEPT_SECONDS)
        return cookie

    def user(self, cookie: str) -> User | None:
        """Whose session a cookie is; None if it has ended or never was."""
        user, until = self._users.get(_key(cookie), (None, 0.0))
        if user is None or self._clock() > until:
            return None
        self._users[_key(cookie)] = (user, self._clock() + KEPT_SECONDS)
        return user

    def end(self, cookie: str) -> None:
        """Log out."""
        self._users.pop(_key(cookie), None)


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


class Attempts:
    """Counts wrong tries to log in, per address of the one who tries."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._failures = clock, dict[str, deque[float]]()
        self._lock = threading.Lock()

    def wait_seconds(self, address: str) -> float:
        """How long an address has to wait before it may try again; 0: it may now."""
        with self._lock:
            failures = self._recent(address)
            return 0.0 if len(failures) < _FAILURES else failures[0] + _WINDOW_SECONDS - self._clock()

    def failed(self, address: str) -> None:
        """Take down a wrong try."""
        with self._lock:
            while len(self._failures) >= _MOST_ADDRESSES:
                self._failures.pop(next(iter(self._failures)))
            self._failures.setdefault(address, deque(maxlen=_FAILURES)).append(self._clock())

    def forgive(self, address: str) -> None:
        """Its last try was right after all."""
        with self._lock:
            if failures := self._failures.get(address):
                failures.pop()

    def _recent(self, address: str) -> deque[float]:
        failures = self._failures.get(address, deque())
        while failures and failures[0] + _WINDOW_SECONDS <= self._clock():
            failures.popleft()
        return failures
