"""The live view in a real browser: it plays, and what is drawn belongs to the frame that is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.transport.redis_server import PrivateServer
from raftline.flow.color import flow_color
from tests.raftline.web.browser import chromium
from tests.raftline.web.client import served
from tests.raftline.web.live.played_run import BOX, NUMBERS, PlayedRun, played
from tests.stages.recorder.packets import HEIGHT, WIDTH

SIDES = {"gate": 0, "yard": 1}
MOUNT = """async ([source, view, overlays]) => {
  const {mountLive} = await import("/static/live.js");
  const element = document.createElement("div");
  Object.assign(element.style, {width: "512px", height: "256px"});
  document.body.append(element);
  window.live ??= {};
  window.live[source] = Object.assign(mountLive(element, {source, view, overlays, delay: 1}), {element});
}"""
STATS = """(source) => {
  const {stats, video, element} = window.live[source];
  const [width, height] = [video.videoWidth, video.videoHeight];
  return {...stats, width, height, note: element.querySelector(".live-note").textContent,
          time: video.currentTime, quality: video.getVideoPlaybackQuality().totalVideoFrames};
}"""
PIXEL = """([source, x, y]) => {
  const canvas = window.live[source].element.querySelector("canvas");
  const scale = canvas.width / 128;
  return [...canvas.getContext("2d").getImageData(Math.round(x * scale), Math.round(y * scale), 1, 1).data];
}"""
NUMBER = """(source) => {  // the number in the picture that is shown, and the one that the overlay over it tells
  const {video, element} = window.live[source];
  const small = new OffscreenCanvas(8, 1).getContext("2d");
  return new Promise((done) => video.requestVideoFrameCallback((now, frame) => {
    small.drawImage(video, 0, 0, 8, 1);
    const bits = small.getImageData(0, 0, 8, 1).data;
    let number = 0;
    for (let bit = 0; bit < 8; bit++) if (bits[4 * bit] > 120) number |= 1 << bit;
    setTimeout(() => done([number, window.live[source].overlay()?.index, Math.round(frame.mediaTime * 1000),
                           window.live[source].current()]), 0);
  }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def scene(redis_server: PrivateServer, tmp_path_factory: Any, browser: Any) -> Iterator[tuple[PlayedRun, Any]]:
    """Two cameras that play, and a page that shows both."""
    directory: Path = tmp_path_factory.mktemp("live") / "run"
    with played(redis_server, directory, *SIDES) as run, served(run, users=False) as page:
        tab = browser.new_page()
        tab.errors = []
        tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.goto(f"{page.url}/api/openapi.json")
        for source in SIDES:
            tab.evaluate(MOUNT, [source, "camera", ["mask", "boxes"]])
        yield run, tab
        assert tab.errors == []
        tab.close()


def until(tab: Any, expression: str) -> None:
    """Poll from here: the page's policy forbids it to evaluate text."""
    until_true(tab, lambda: tab.evaluate(expression), expression)


def until_true(tab: Any, true: Callable[[], object], what: str) -> None:
    """Poll for two minutes: a loaded machine may take long to show anything."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, what
        tab.wait_for_timeout(100)


def wait_until_all_is_drawn(tab: Any, source: str, frames: int = 25) -> None:
    """Until so many frames in a row had what is drawn on them; on a loaded machine that may be late at first."""

    def drawn() -> bool:
        now = tab.evaluate(STATS, source)
        missing = now["frames"] - now["found"]
        if since and missing > since[-1][1]:
            since.clear()
        since.append((now["frames"], missing))
        return since[-1][0] - since[0][0] >= frames

    since: list[tuple[int, int]] = []
    until_true(tab, drawn, f"frames of {source} without what is drawn on them")


def check_numbers(tab: Any, source: str, count: int = 5) -> None:
    """What is drawn is of the frame that is shown, so many times; not where the next one came while that was asked."""
    checked: list[int] = []

    def check() -> bool:
        number, index, shown, current = tab.evaluate(NUMBER, source)
        if index is not None and shown == current:
            assert index % NUMBERS == number
            checked.append(number)
        return len(checked) == count

    until_true(tab, check, f"numbers of {source}")


def wait_for_frames(tab: Any, source: str, frames: int) -> dict[str, Any]:
    until(tab, f"window.live.{source}.stats.frames >= {frames}")
    return tab.evaluate(STATS, source)


def test_two_cameras_play_and_every_frame_that_is_shown_has_what_is_drawn_on_it(scene: tuple[PlayedRun, Any]) -> None:
    _, tab = scene
    for source in SIDES:
        stats = wait_for_frames(tab, source, 25)
        assert (stats["width"], stats["height"], stats["note"]) == (WIDTH, HEIGHT, "")
        wait_until_all_is_drawn(tab, source)
        check_numbers(tab, source)


def test_overlays_are_switched_by_buttons(scene: tuple[PlayedRun, Any]) -> None:
    _, tab = scene
    inside = ["gate", BOX[0] + BOX[2] // 2, BOX[1] + BOX[3] - 4]
    until(tab, f"(([red, , , alpha]) => red > 200 && alpha > 80)(({PIXEL})({inside}))")
    bar = tab.locator(".live").first.locator(".live-bar")
    bar.get_by_role("button", name="Mask").click()
    until(tab, f"({PIXEL})({inside})[3] === 0")
    assert bar.get_by_role("button", name="Mask").get_attribute("aria-pressed") == "false"
    bar.get_by_role("button", name="Flow arrows").click()
    until(tab, "window.live.gate.overlay()?.flow")
    bar.get_by_role("button", name="Mask").click()
    until(tab, f"({PIXEL})({inside})[3] > 80")


def test_the_pictures_of_a_stage_are_watched_with_nothing_drawn_on_them(scene: tuple[PlayedRun, Any]) -> None:
    _, tab = scene
    wait_for_frames(tab, "yard", 5)
    bar = tab.locator(".live").nth(1).locator(".live-bar")
    before = tab.evaluate("window.live.yard.video.src")
    bar.get_by_label("Picture").select_option("steady")
    until(tab, f"![ '', '{before}' ].includes(window.live.yard.video.src)")
    until(tab, "window.live.yard.video.getVideoPlaybackQuality().totalVideoFrames > 10")
    assert tab.evaluate("window.live.yard.element.querySelector('button').disabled")
    number, overlay, _, _ = tab.evaluate(NUMBER, "yard")
    assert overlay is None and 0 <= number < 200
    assert tab.evaluate(PIXEL, ["yard", BOX[0] + 20, BOX[1] + 20])[3] == 0
    bar.get_by_label("Picture").select_option("camera")
    until(tab, "window.live.yard.overlay()?.boxes?.length > 0")


COLORS = """async (flows) => {
  const {colorOf} = await import("/static/flow_colors.js");
  return flows.map(([u, v]) => colorOf(u, v, 4));
}"""


def test_flow_is_drawn_in_the_colors_of_the_wheel(scene: tuple[PlayedRun, Any]) -> None:
    _, tab = scene
    flows = [(0, 0), (4, 0), (-2, 1), (0.5, 3), (-1, -3), (5, 5)]
    expected = flow_color(np.array([flows], np.float32), 4.0)[0]
    np.testing.assert_allclose(tab.evaluate(COLORS, flows), expected, atol=3)
    bar = tab.locator(".live").first.locator(".live-bar")
    bar.get_by_role("button", name="Flow colors").click()
    shown = f"({PIXEL})(['gate', {WIDTH // 2}, {HEIGHT - 6}])"
    until(tab, f"(([red, green]) => red > 240 && green < 20)({shown})")  # 3 px to the right: red
    bar.get_by_role("button", name="Flow colors").click()


PATH = """async (told) => {
  const {Path} = await import("/static/views/camera_path.js");
  const path = new Path();
  told.forEach((each) => path.take({width: 100, height: 50, ...each}));
  return path.rows;
}"""


def test_the_cameras_path_adds_up_its_motion_and_the_correction(scene: tuple[PlayedRun, Any]) -> None:
    right, up = [1, 0, 2, 0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 1, -1, 0, 0, 1]
    told = [{"t": 0.0, "camera": right}, {"t": 0.1, "camera": up}, {"t": 0.0, "correction": up}]
    assert scene[1].evaluate(PATH, told) == [[0, 2, 0, 2, -1], [0.1, 2, -1, None, None]]
    until(scene[1], "window.live.gate.show('path', true), window.live.gate.overlay()?.correction")
    scene[1].evaluate("window.live.gate.show('path', false)")


PLACE = """([source, tag]) => window.live[source].element.querySelector(tag).getBoundingClientRect().toJSON()"""
COMPARED = """() => {  // the numbers in the pictures before and after, of one moment
  const {element} = window.live.yard;
  const [split, canvas] = [element.querySelector("input"), element.querySelector("canvas")];
  return [1, 0].map((value) => {
    split.value = value;
    split.dispatchEvent(new Event("input"));
    const small = new OffscreenCanvas(8, 1).getContext("2d");
    small.drawImage(canvas, 0, 40, canvas.width, canvas.height - 40, 0, 0, 8, 1);
    const bits = small.getImageData(0, 0, 8, 1).data;
    return [...Array(8).keys()].reduce((number, bit) => number | (bits[4 * bit] > 120 ? 1 << bit : 0), 0);
  });
}"""


def test_before_and_after_are_of_one_moment(scene: tuple[PlayedRun, Any]) -> None:
    _, tab = scene
    bar = tab.locator(".live").nth(1).locator(".live-bar")
    bar.get_by_label("Picture").select_option("compare:steady")
    until(tab, f"window.live.yard.video.videoHeight === {2 * HEIGHT}")
    assert bar.locator("xpath=..").get_by_role("slider").is_visible()
    until(tab, "window.live.yard.video.currentTime > 0.5")
    # Also where the picture has another shape than its place on the page.
    places = lambda: [tab.evaluate(PLACE, ["yard", tag]) for tag in ("video", "canvas")]  # noqa: E731
    until_true(tab, lambda: len({str(place) for place in places()}) == 1, "the canvas lies elsewhere")
    same: list[int] = []

    def compare() -> bool:
        before, after = tab.evaluate(COMPARED)
        same.extend([before] * (before == after))  # the next frame may have come between the two
        return len(same) == 3

    until_true(tab, compare, "before and after are of two moments")
    bar.get_by_label("Picture").select_option("camera")
    until(tab, "window.live.yard.overlay()?.boxes?.length > 0")


def test_a_hidden_tab_gets_nothing_and_plays_on_when_it_is_back(scene: tuple[PlayedRun, Any]) -> None:
    run, tab = scene
    wait_for_frames(tab, "yard", 5)
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    tab.evaluate(hide, True)

    def nothing_comes() -> bool:
        before, sent = tab.evaluate(STATS, "yard")["quality"], run.sent
        tab.wait_for_timeout(1000)
        return tab.evaluate(STATS, "yard")["quality"] == before and run.sent >= sent + 10

    until_true(tab, nothing_comes, "frames come to a hidden tab")
    before = tab.evaluate(STATS, "yard")
    tab.evaluate(hide, False)
    wait_for_frames(tab, "yard", before["frames"] + 20)


def test_what_the_browser_does_not_play_is_encoded_for_it(
    redis_server: PrivateServer, tmp_path: Path, browser: Any
) -> None:
    with played(redis_server, tmp_path / "run", encoder="libx265") as run, served(run, users=False) as page:
        tab = browser.new_page()
        tab.add_init_script(
            "const plays = MediaSource.isTypeSupported;"
            "MediaSource.isTypeSupported = (type) => !type.includes('hvc1') && plays(type)"
        )
        tab.goto(f"{page.url}/api/openapi.json")
        tab.evaluate(MOUNT, ["gate", "camera", ["boxes"]])
        stats = wait_for_frames(tab, "gate", 25)
        assert (stats["width"], stats["note"]) == (WIDTH, "")
        wait_until_all_is_drawn(tab, "gate")
        tab.close()
