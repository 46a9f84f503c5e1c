"""Logging in and out."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from raftline.web.access.rights import LOOK, Access
from raftline.web.access.sessions import COOKIE, KEPT_SECONDS
from raftline.web.access.users import User
from raftline.web.models import Done, LogIn, SessionState

public = APIRouter(prefix="/api", tags=["session"])
"""What needs no log-in, because one logs in by it."""
router = APIRouter(prefix="/api", tags=["session"])


@public.get("/session")
def get_session(request: Request) -> SessionState:
    """Who looks at the page."""
    access: Access = request.app.state.access
    user = access.user(request)
    asks: Literal["password", "token", "nothing"] = "nothing" if access.users is None else access.users.asks_for
    if user is None:
        return SessionState(logged_in=False, asks_for=asks)
    return _state_of(request, user, asks)


@public.post("/session")
async def log_in(request: Request, response: Response, given: LogIn) -> SessionState:
    """Log in with name and password, or with the token as the password."""
    access: Access = request.app.state.access
    if access.users is None:
        return get_session(request)
    address = request.client.host if request.client else ""
    if (wait := access.attempts.wait_seconds(address)) > 0:
        raise HTTPException(
            429, f"too many wrong tries; wait {wait:.0f} s", headers={"Retry-After": str(int(wait) + 1)}
        )
    user = access.users.by_token(given.password)
    if user is None and access.users.asks_for == "password":
        access.attempts.failed(address)  # before the hash, which takes time: many at once are tries, too
        user = await run_in_threadpool(access.users.by_password, given.name, given.password)
        if user is not None:
            access.attempts.forgive(address)
    elif user is None:
        access.attempts.failed(address)
    if user is None:
        raise HTTPException(401, "name or password is wrong" if access.users.asks_for == "password" else "wrong token")
    response.set_cookie(
        COOKIE, access.sessions.begin(user), KEPT_SECONDS, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return _state_of(request, user, access.users.asks_for)


def _state_of(request: Request, user: User, asks: Literal["password", "token", "nothing"]) -> SessionState:
    fleet = request.app.state.fleet is not None
    return SessionState(logged_in=True, asks_for=asks, user=user.name, may_change=user.may == "change", fleet=fleet)


@router.delete("/session", dependencies=[LOOK])
def log_out(request: Request, response: Response) -> Done:
    """Log out."""
    request.app.state.access.sessions.end(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return Done()
