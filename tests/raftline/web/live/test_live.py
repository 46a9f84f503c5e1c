"""The live view as a server gives it: video, what is drawn over it, and slow viewers."""

from __future__ import annotations

import io
import socket
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.transport.redis_server import PrivateServer
from raftline.web.live.feeds import LiveFeeds
from tests.raftline.web.client import COOKIE, USERS, served
from tests.raftline.web.live.played_run import BOX, FPS, GOP, NUMBERS, played
from tests.raftline.web.live.sockets import Watched, watching
from tests.stages.frames import read_number


def numbers(video: bytes) -> list[int]:
    with av.open(io.BytesIO(video)) as container:
        return [read_number(frame.to_ndarray(format="gray8")) for frame in container.decode(video=0)]


def follow(seen: list[int]) -> bool:
    """Whether numbers of frames, which begin anew after `NUMBERS`, are those of one frame after the other."""
    return all((after - before) % NUMBERS == 1 for before, after in pairwise(seen))


def grow(seen: list[int]) -> bool:
    """Whether none comes twice or goes back; more than half of the numbers are never left out."""
    return all(0 < (after - before) % NUMBERS < NUMBERS / 2 for before, after in pairwise(seen))


def feeds(page) -> LiveFeeds:
    return page.app.state.live_feeds


def wait_until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "avc1."), ("libx265", "hvc1.1.")])
def test_a_viewer_begins_at_the_newest_keyframe_and_sees_each_frame(
    redis_server: PrivateServer, tmp_path: Path, encoder: str, codec: str
) -> None:
    with played(redis_server, tmp_path / "run", encoder=encoder) as run, served(run, users=False) as page:
        wait_until(lambda: run.sent >= 15)
        newest_keyframe = run.sent // GOP * GOP
        with watching(page, "gate") as viewer:
            viewer.read(frames=25)
    (head,) = viewer.heads
    assert (
        head["type"] == "video" and f'codecs="{codec}' in head["mime"] and (head["width"], head["height"]) == (128, 64)
    )
    seen = numbers(viewer.boxes)
    assert seen[0] % GOP == 0 and (seen[0] - newest_keyframe) % NUMBERS < NUMBERS / 2
    assert follow(seen)
    assert all(after > before for before, after in pairwise(viewer.times))


def is_left_alone(viewer: Watched) -> bool:
    """Whether it gets frames for half a second, and nothing to draw on them."""
    told, frames = len(viewer.told), len(viewer.times)
    viewer.read(seconds=0.5)
    return len(viewer.told) == told and len(viewer.times) > frames


def test_what_is_drawn_comes_with_the_time_of_its_frame(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        with watching(page, "gate") as viewer:
            viewer.ask(overlays=["mask", "boxes", "flow", "camera"])
            viewer.read(frames=20)
            for kind in ("boxes", "flow"):
                viewer.read_until(lambda kind=kind: sum(kind in each for each in viewer.told) >= 18)
            viewer.ask(overlays=[])
            assert any(is_left_alone(viewer) for _ in range(60))
    masks = {each["index"]: each for each in viewer.told if "boxes" in each}
    first = min(masks) - (min(masks) - numbers(viewer.boxes)[0]) % NUMBERS
    flows = [each for each in viewer.told if "flow" in each]
    assert len(masks) >= 18 and len(flows) >= 18
    for index, each in masks.items():
        assert each["t"] == pytest.approx(viewer.times[index - first], abs=1e-4)
        assert each["boxes"] == [[index, *BOX, 1, 10.0, 0.0]] and each["camera"][2] == 2
    x, y, width, height = BOX
    size, runs = masks[first + 5]["mask"]["size"], masks[first + 5]["mask"]["runs"]
    assert size == [128, 64] and runs == [n for row in range(y, y + height) for n in (row * 128 + x, width)]
    assert set(flows[0]["flow"]["uv"][::2]) == {12} and set(flows[0]["flow"]["uv"][1::2]) == {0}


def test_a_viewer_that_reads_nothing_costs_nothing_and_goes_on_at_a_keyframe(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        run.filler = b"\0\0\1\x0c" + b"\xff" * 400_000 + b"\x80"
        full = socket.create_connection(page.host.split(":"))  # type: ignore[arg-type]
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with watching(page, "gate", sock=full, max_queue=1, close_timeout=0.1), watching(page, "gate") as other:
            other.read(frames=5)
            (shared,) = feeds(page)._shared.values()
            other.read_until(lambda: any(viewer.left_out for viewer in shared.feed.viewers))
            assert len(shared.feed.viewers) == 2
            assert all(viewer._bytes <= 3_500_000 for viewer in shared.feed.viewers)
            seen, sent = len(other.times), run.sent
            other.read(frames=20)
            assert len(other.times) >= seen + 20  # nobody waits for it
            wait_until(lambda: run.sent >= sent + 10)
            full.shutdown(socket.SHUT_RDWR)


def test_a_paused_viewer_gets_nothing_and_goes_on_with_a_beginning(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        with watching(page, "gate") as viewer:
            viewer.read(frames=12)
            viewer.ask(paused=True)
            assert any(viewer.is_quiet() for _ in range(60))
            had, sent = len(viewer.times), run.sent
            wait_until(lambda: run.sent >= sent + 2 * GOP)
            viewer.ask(paused=False)
            viewer.read(frames=12)
    assert len(viewer.heads) == 2
    assert numbers(viewer.boxes)[0] % GOP == 0 and viewer.times[had] > viewer.times[had - 1] + GOP / FPS


def test_nothing_works_while_nobody_looks(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        for _ in range(2):
            with watching(page, "gate") as viewer, watching(page, "gate") as second:
                viewer.ask(overlays=["flow"])
                viewer.read(frames=3)
                second.read(frames=3)
                assert len(feeds(page)._shared) == 1  # one feed for both
            wait_until(lambda: not feeds(page)._shared)


def test_a_run_that_ends_closes_its_viewers_and_the_next_one_is_found(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        with watching(page, "gate") as viewer:
            viewer.read(frames=2)
            run.end()
            with pytest.raises(ConnectionClosed, match="the run has ended"):
                viewer.read(seconds=60)
        with watching(page, "gate") as viewer, pytest.raises(ConnectionClosed, match="no run goes on"):
            viewer.read(seconds=60)


def test_frames_are_encoded_once_for_all_and_small(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        with watching(page, "gate", "frames") as viewer, watching(page, "gate", "frames") as second:
            viewer.ask(overlays=["boxes"])
            viewer.read(frames=15)
            viewer.read_until(lambda: len(viewer.told) >= 12)
            second.read(frames=10)
    assert 'codecs="avc1.' in viewer.heads[0]["mime"]
    seen = numbers(viewer.boxes)
    assert len(seen) >= 14 and grow(seen)
    by_index = {each["index"] % NUMBERS: each["t"] for each in viewer.told}
    known = [(by_index[number], at) for number, at in zip(seen, viewer.times, strict=False) if number in by_index]
    assert len(known) >= 10 and all(told == pytest.approx(at, abs=1e-4) for told, at in known)


def test_jpegs_for_those_who_take_no_video(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run") as run, served(run, users=False) as page:
        asks = page.client()
        assert asks.get("/api/live/gate").json() == {
            "views": ["camera", "frames", "steady", "compare:steady"],
            "overlays": ["mask", "boxes", "camera", "path", "flow", "colors"],
        }
        still = asks.get("/api/live/gate/jpeg")
        assert still.headers["content-type"] == "image/jpeg"
        with asks.stream("GET", "/api/live/gate/mjpeg?fps=10") as answer:
            assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=raftline-frame"
            got = b""
            for chunk in answer.iter_bytes():
                got += chunk
                if got.count(b"--raftline-frame") >= 4:
                    break
        assert asks.get("/api/live/gate/jpeg?view=none").status_code == 404
        assert asks.get("/api/live/gone/jpeg").status_code == 404
    jpegs = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"--raftline-frame\r\n")[1:4]]
    seen = [numbers(jpeg.rstrip(b"\r\n"))[0] for jpeg in (still.content, *jpegs)]
    assert grow(seen)


def test_a_camera_that_one_may_not_see_is_not_there(redis_server: PrivateServer, tmp_path: Path) -> None:
    with played(redis_server, tmp_path / "run", "gate", "yard") as run, served(run) as page:
        bob = page.client("bob")
        assert bob.get("/api/live/gate").status_code == 200
        for path in ("", "/mjpeg", "/jpeg"):
            assert bob.get(f"/api/live/yard{path}").status_code == 404
            assert page.client().get(f"/api/live/gate{path}").status_code == 401
        cookie = {"Cookie": f"{COOKIE}={page.app.state.access.sessions.begin(USERS['bob'][0])}"}
        with watching(page, "gate", additional_headers=cookie) as viewer:
            viewer.read(frames=1)
        for source, headers in (("yard", cookie), ("gate", {})):
            with pytest.raises(InvalidStatus), watching(page, source, additional_headers=headers):
                pass
        with (
            pytest.raises(InvalidStatus),
            watching(page, "gate", origin="http://evil.example", additional_headers=cookie),
        ):
            pass
