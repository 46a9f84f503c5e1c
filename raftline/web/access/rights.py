"""What a request needs, said once at each endpoint; an endpoint without it is found by a test."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from raftline.web.access.sessions import COOKIE, Attempts, Sessions
from raftline.web.access.users import EVERYBODY, May, User, Users


@dataclass
class Access:
    """Who may come in."""

    users: Users | None = None
    """None: everybody may do everything, which only loopback allows."""
    sessions: Sessions = field(default_factory=Sessions)
    attempts: Attempts = field(default_factory=Attempts)

    def user(self, connection: HTTPConnection) -> User | None:
        """Who sent a request; None if they have not said."""
        if self.users is None:
            return EVERYBODY
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.users.by_token(token.strip())
        return self.sessions.user(connection.cookies.get(COOKIE, ""))


class Needs:
    """A dependency of an endpoint: the user, who must have the right; of the source in its path, if it names one."""

    def __init__(self, may: May) -> None:
        self.may = may

    def __call__(self, connection: HTTPConnection) -> User:
        access: Access = connection.app.state.access
        user = access.user(connection)
        if user is None:
            raise HTTPException(401, "log in first")
        source = connection.path_params.get("source")
        if source is not None and not user.sees(source):
            raise HTTPException(404, "there is no such camera")  # one they do not see is none
        if self.may == "change" and user.may != "change":
            raise HTTPException(403, "you may look, but not change anything")
        return user


LOOK, CHANGE = Depends(Needs("look")), Depends(Needs("change"))
