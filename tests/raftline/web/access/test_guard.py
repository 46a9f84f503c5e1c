"""What stands in front of every request."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from pipeline.transport.redis_server import PrivateServer
from raftline.web.access.guard import MOST_BYTES
from raftline.web.app import STATIC
from tests.raftline.web.client import Page, log_in, served
from tests.raftline.web.told import SECRET, watched


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer) -> Iterator[Page]:
    with watched(redis_server) as run, served(run) as page:
        yield page


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil", ""]
)
def test_another_name_is_not_answered(page: Page, host: str) -> None:
    host = host.format(port=page.host.partition(":")[2])
    for path in ("/", "/api/session", "/static/app.js"):
        assert page.client().get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://{host}.evil", "http://localhost:1"])
def test_a_write_from_another_page_is_refused(page: Page, origin: str) -> None:
    answer = page.client("ann").delete("/api/session", headers={"Origin": origin.format(host=page.host)})
    assert (answer.status_code, answer.json()["detail"]) == (403, "the request comes from another page")


def test_a_write_needs_the_header_that_no_form_can_send(page: Page) -> None:
    asks = page.client("ann")
    del asks.headers["X-Raftline"]
    assert asks.delete("/api/session").status_code == 403
    assert asks.get("/api/session").json()["logged_in"]
    assert asks.delete("/api/session", headers={"X-Raftline": "1", "Origin": page.url}).status_code == 200
    assert not asks.get("/api/session").json()["logged_in"]


def test_a_socket_from_another_page_is_refused(page: Page) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{page.host}/api/live/gate", origin=Origin("http://evil.example"))
    assert refused.value.response.status_code == 403


def test_a_body_that_is_too_large_is_not_taken(page: Page) -> None:
    large = b" " * (MOST_BYTES + 1)
    assert page.client().post("/api/session", content=large).status_code == 413
    chunks = (large[:65536] for _ in range(20))  # without its length
    try:
        answer = page.client().post("/api/session", content=chunks)
    except httpx.HTTPError:
        return
    assert answer.status_code >= 400


def test_every_answer_forbids_scripts_that_are_not_the_page_s_own(page: Page) -> None:
    for path in ("/", "/api/docs", "/api/state", "/static/app.js", "/not/there"):
        headers = page.client().get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_script_or_style_within_and_fetches_from_nowhere_else() -> None:
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), page
        assert "//" not in re.sub(r"<!doctype.*?>", "", text), page
    for module in [*STATIC.glob("*.js"), *STATIC.glob("views/*.js")]:
        assert not re.search(r"(https?:)?//[a-z]+\.|innerHTML|eval\(", module.read_text()), module


def test_the_cookie_is_kept_from_scripts_and_other_sites(page: Page) -> None:
    cookie = log_in(page.client(), "ann", "ann's password").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_wrong_tries_are_slowed_down_and_then_the_right_one_waits_too(page: Page) -> None:
    asks = page.client()
    answers = [log_in(asks, "ann", "wrong").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    refused = log_in(asks, "ann", "ann's password")
    assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 61


def test_no_password_is_in_anything_that_the_page_shows(page: Page) -> None:
    asks = page.client("ann")
    for path in ("/", "/api/state", "/api/openapi.json", "/api/session"):
        assert SECRET not in asks.get(path).text and "scrypt$" not in asks.get(path).text
