"""The page in a real browser, as people meet it: by mouse, by keyboard, on a phone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from pipeline.config.yaml_file import read_configuration
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from raftline.event_database import NAME, EventDatabase
from tests.raftline.web import client, results, told
from tests.raftline.web.api.test_zones import YAML
from tests.raftline.web.browser import chromium
from tests.raftline.web.told_fleet import tell_fleet

VIEWS = ("live", "events", "zones", "cameras", "hosts")
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)  # on a busy machine, too
    with chromium() as browser:
        yield browser


class Garden:
    """A run with two cameras, and its results."""

    def __init__(self, page: client.Page, transport: RedisStreams, file: Path) -> None:
        self.page, self.transport, self.file = page, transport, file


@pytest.fixture(scope="module")
def garden(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Garden]:
    folder = tmp_path_factory.mktemp("garden")
    file = folder / "garden.yaml"
    file.write_text(YAML.replace("me:${GATE_PASSWORD}@", ""))
    results.lay_out(folder / "out")
    write_clip(folder / "out/gate.recordings/one.mp4")
    with told.told_run(redis_server) as (run, transport):
        told.keep_telling(transport, told.status())
        with (
            told.run_directory(run, redis_server, folder / "out", file),
            client.served(run, fleet=tell_fleet(redis_server)) as page,
        ):
            yield Garden(page, transport, file)


def write_clip(path: Path) -> None:
    """Ten seconds of grey that gets lighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 5)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"  # type: ignore[attr-defined]
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((36, 64), 4 * index, np.uint8), "gray")
            frame.pts, frame.time_base = index, Fraction(1, 5)
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode())  # type: ignore[attr-defined]


@contextmanager
def looking(browser: Browser, garden: Garden, user: str | None = "ann", **options: Any) -> Iterator[Page]:
    """A window on the page; fails if the page has an error of its own, or is refused anything by its policy."""
    context = browser.new_context(base_url=garden.page.url, **options)
    if user is not None:
        cookie = garden.page.app.state.access.sessions.begin(client.USERS[user][0])
        context.add_cookies([{"name": client.COOKIE, "value": cookie, "url": garden.page.url}])
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if is_refusal(message) else None)
    try:
        yield page
        assert wrong == []
    finally:
        context.close()


def until_played(video: Locator, seconds: float) -> None:
    """Wait until a clip plays at a place, or after it."""
    for _ in range(1200):
        if video.evaluate("video => video.currentTime") > seconds:
            assert video.evaluate("video => video.error") is None
            return
        video.page.wait_for_timeout(50)
    raise AssertionError("the clip does not play")


def is_refusal(message: ConsoleMessage) -> bool:
    return "Content Security Policy" in message.text


def test_a_wrong_password_is_told_and_the_right_one_leads_to_the_cameras(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden, user=None) as page:
        page.goto("/")
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        page.get_by_label("Password").fill("ann's password")
        page.get_by_label("Password").press("Enter")
        expect(page.get_by_role("heading", name="gate")).to_be_visible()
        expect(page.get_by_role("status").first).to_contain_text("garden running")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_camera_that_is_lost_and_found_is_seen_without_loading_anew(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden, user="bob") as page:
        page.goto("/#/live")
        gate = page.get_by_role("article", name="gate")
        expect(gate).to_contain_text("live")
        expect(page.get_by_role("article", name="yard")).to_have_count(0)  # not for bob
        lost = told.source(100, camera="lost", trouble="connection refused", next_try="2026-03-01T08:15:04+00:00")
        told.keep_telling(garden.transport, told.status(61.0, gate=lost))
        expect(gate).to_contain_text("connection refused. Next try at")
        told.keep_telling(garden.transport, told.status(62.0))
        expect(gate).to_contain_text("live")


def test_from_the_timeline_to_the_clip_and_what_one_says_of_it(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/#/events")
        expect(page.get_by_role("heading", name="3 events")).to_be_visible()
        page.get_by_label("Zone").select_option("drive")
        expect(page.get_by_role("heading", name="1 event")).to_be_visible()
        page.get_by_role("button", name="gate").click()
        video = page.get_by_label("Clip of the event")
        expect(video).to_be_visible()
        until_played(video, 2.9)  # the event begins 3 s after the clip
        page.get_by_role("button", name="This was no event").click()
        expect(page.get_by_role("button", name="This was no event")).to_have_attribute("aria-pressed", "true")
        with EventDatabase.opened(garden.file.parent / "out" / NAME) as database:
            assert (event := database.get(2)) is not None and event.label == "no event"
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "one.mp4"
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_motion_is_searched_for_in_an_area_that_one_draws(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/#/events")
        page.get_by_role("button", name="Search in an area").click()
        drawing = page.get_by_role("group", name="The area")
        expect(drawing).to_be_visible()
        box = drawing.bounding_box()
        assert box is not None
        for x, y in ((0.02, 0.1), (0.2, 0.1), (0.2, 0.9)):
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.get_by_role("button", name="Search the events").click()
        expect(page.get_by_role("heading", name="1 event")).to_be_visible()
        page.get_by_role("button", name="Anywhere again").click()
        expect(page.get_by_role("heading", name="1 event")).to_have_count(0)


def test_a_search_in_recordings_goes_on_beside_other_views_and_leads_to_the_clip(
    browser: Browser, garden: Garden
) -> None:
    found = {"type": "found", "recording": "one.mp4", "at": results.BEGIN + 60, "until": results.BEGIN + 62}
    said = [
        {"type": "progress", "clip": 1, "clips": 1, "share": 0.4, "seconds_left": 5},
        {**found, "begin_seconds": 3.0, "peak_area": 0.02, "picture": base64.b64encode(b"no picture").decode()},
        {"type": "done", "found": 1, "clips": 1},
    ]
    body = "".join(json.dumps(each) + "\n" for each in said)
    with looking(browser, garden, user="bob") as page:
        page.route(
            "**/recordings/motion?*", lambda route: route.fulfill(body=body, content_type="application/x-ndjson")
        )
        page.goto("/#/events")
        page.get_by_role("button", name="Search in an area").click()
        page.get_by_role("button", name="The middle").click()
        page.get_by_role("button", name="Search the recordings").click()
        search = page.get_by_role("region", name="Search in recordings")
        expect(search.get_by_role("status")).to_have_text("1 found, done")
        page.goto("/#/live")
        page.goto("/#/events")
        search.get_by_role("button", name="2.0 s").click()
        expect(page.get_by_label("Recording", exact=True)).to_be_visible()
        until_played(page.get_by_label("Recording", exact=True), 2.1)  # a second before it
        page.keyboard.press("Escape")
        search.get_by_role("button", name="Close").click()
        expect(search).to_have_count(0)


def test_one_camera_is_opened_large_with_its_path_and_its_heat_map(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/#/live")
        page.get_by_role("article", name="gate").get_by_role("link", name="Open").click()
        expect(page.get_by_role("heading", name="gate")).to_be_visible()
        expect(page.get_by_role("heading", name="The camera's path")).to_be_visible()
        expect(page.get_by_text("There is no heat map yet")).to_be_visible()
        assert Axe().run(page).violations_count == 0
        page.get_by_role("link", name="All cameras").click()
        expect(page.get_by_role("article", name="yard")).to_be_visible()


def test_a_zone_that_is_drawn_is_saved(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/#/zones/gate")
        page.get_by_role("button", name="Draw a zone").click()
        drawing = page.get_by_role("group", name="Zones of gate")
        box = drawing.bounding_box()
        assert box is not None
        for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75)):
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.keyboard.press("Enter")
        page.get_by_label("Name").fill("drive")
        expect(page.locator(".shade")).to_have_count(1)  # the rest is dark: motion does not count there
        corner = page.get_by_role("button", name="Corner 1 of drive")
        corner.focus()
        corner.press("Shift+ArrowLeft")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved")).to_be_visible(timeout=120_000)
        saved = read_configuration(garden.file)["stages"]["motion_mask"]["options"]["zones"]["gate"]["drive"]
        assert saved["does"] == "watch" and len(saved["corners"]) == 3
        assert np.allclose(saved["corners"], [[0.2, 0.25], [0.75, 0.25], [0.75, 0.75]], atol=0.01)
        page.get_by_label("What it does").select_option("ignore")
        expect(page.get_by_text("Not saved yet")).to_be_visible()


def test_who_may_only_look_is_offered_no_change(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden, user="bob") as page:
        page.goto("/#/cameras")
        expect(page.get_by_role("region", name="Stages of gate")).to_be_visible()
        expect(page.get_by_role("button", name="Add the camera")).to_have_count(0)
        page.goto("/#/zones/gate")
        expect(page.get_by_role("heading", name="Zones of")).to_be_visible()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_all_hosts_of_the_fleet_and_their_cameras_are_seen(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/")
        page.get_by_role("link", name="Hosts").click()
        expect(page.get_by_role("status").last).to_have_text("1 of 3 cameras of gardens are live")
        expect(page.get_by_role("link", name="rack-1").first).to_have_attribute("href", "http://rack-1.lan:8642/")
        barn = page.get_by_role("region", name="Table of Cameras").get_by_role("row", name="barn")
        expect(barn).to_contain_text("every host is full")
        expect(page.get_by_role("region", name="Table of Events").get_by_role("row", name="gate")).to_contain_text(
            "drive"
        )


def test_the_keyboard_reaches_everything_in_order(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        page.goto("/#/events")
        expect(page.get_by_role("button", name="gate").first).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_label("Camera")).to_be_focused()
        page.get_by_role("button", name="gate").first.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate("document.activeElement.closest('dialog') !== null")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_faults_that_axe_finds_or_is_wider_than_a_phone(
    browser: Browser, garden: Garden, scheme: str
) -> None:
    with looking(browser, garden, color_scheme=scheme, viewport=PHONE) as page:
        for view in VIEWS:
            page.goto(f"/#/{view}")
            expect(page.locator("header [aria-current]")).to_have_attribute("href", f"#/{view}")
            page.wait_for_timeout(300)  # pictures may change the layout
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
            found = Axe().run(page)
            assert found.violations_count == 0, f"{view}: {found.generate_report()}"
        page.goto("/#/events")
        page.get_by_role("button", name="gate").first.click()
        assert Axe().run(page).violations_count == 0


def test_the_api_is_described_without_anything_from_elsewhere(browser: Browser, garden: Garden) -> None:
    with looking(browser, garden) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/api/docs")
        expect(page.get_by_role("heading", name="GET /api/state", exact=True)).to_be_visible()
        assert asked and all(address.startswith(garden.page.url) for address in asked)
