"""Every endpoint says what it needs, and holds to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import Mount

from pipeline.transport.redis_server import PrivateServer
from raftline.web.access.rights import Needs
from tests.raftline.web.client import TOKEN, Page, served
from tests.raftline.web.told import watched

PUBLIC = {("/", "GET"), ("/api/docs", "GET"), ("/api/session", "GET"), ("/api/session", "POST")}
"""What somebody needs to log in by; it shows nothing of the cameras."""
FILLED = {"number": "1", "stage": "decoder", "recording": "one.mp4"}
"""Values of the other parameters in paths."""


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer) -> Iterator[Page]:
    with watched(redis_server) as run, served(run) as page:
        yield page


def endpoints(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """(path, method, route) of each."""
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static", "files of the page alone are mounted"
        elif isinstance(route, APIWebSocketRoute):
            yield route.path, "WEBSOCKET", route
        else:
            assert isinstance(route, APIRoute), f"{route}: neither an endpoint nor files of the page"
            yield from ((route.path, method, route) for method in route.methods or ())


def need(route: Any) -> Needs | None:
    """What an endpoint needs."""
    found = [each.call for each in route.dependant.dependencies if isinstance(each.call, Needs)]
    return found[0] if found else None


def address(path: str, source: str) -> str:
    return re.sub(r"{(\w+)(:\w+)?}", lambda match: source if match[1] == "source" else FILLED[match[1]], path)


def guarded_endpoints(app: FastAPI) -> list[tuple[str, str, Needs]]:
    return [(path, method, n) for path, method, route in endpoints(app) if (n := need(route)) and method != "WEBSOCKET"]


def test_every_endpoint_says_what_it_needs(page: Page) -> None:
    without = {(path, method) for path, method, route in endpoints(page.app) if need(route) is None}
    assert without == PUBLIC
    assert len(guarded_endpoints(page.app)) > 3


def test_what_writes_needs_the_right_to_change(page: Page) -> None:
    writes = {
        (path, method) for path, method, n in guarded_endpoints(page.app) if method != "GET" and n.may != "change"
    }
    assert writes == {("/api/session", "DELETE")}


def test_a_stranger_gets_nothing(page: Page) -> None:
    asks = page.client()
    for path, method, _ in guarded_endpoints(page.app):
        assert asks.request(method, address(path, "gate")).status_code == 401, (path, method)


def test_a_user_who_may_look_changes_nothing(page: Page) -> None:
    asks = page.client("bob")
    for path, method, need in guarded_endpoints(page.app):
        if need.may == "change":
            assert asks.request(method, address(path, "gate")).status_code == 403, (path, method)


def test_a_camera_that_somebody_does_not_see_is_not_there_for_them(page: Page) -> None:
    for user in ("bob", "cid"):
        asks = page.client(user)
        for path, method, _ in guarded_endpoints(page.app):
            if "{source}" in path:
                answer = asks.request(method, address(path, "yard"))
                assert (answer.status_code, answer.json()) == (404, {"detail": "there is no such camera"}), path


def test_what_lists_cameras_lists_those_somebody_sees(page: Page) -> None:
    assert [s["name"] for s in page.client("bob").get("/api/state").json()["sources"]] == ["gate"]
    for path, method, _ in guarded_endpoints(page.app):
        if method == "GET" and "{" not in path and "stream" not in path:
            assert "yard" not in page.client("bob").get(path).text, path


def test_the_token_may_do_everything(page: Page) -> None:
    asks = page.client()
    assert asks.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert asks.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401


def test_over_loopback_without_users_everybody_may_do_everything(redis_server: PrivateServer) -> None:
    with watched(redis_server) as run, served(run, users=False) as page:
        asks = page.client()
        assert asks.get("/api/state").status_code == 200
        assert asks.get("/api/session").json()["may_change"]
