"""Whether a camera answers, and whether it was away, without logging in."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import av
import av.error
import pytest

from stages.decoder import cameras
from stages.decoder.connection_probe import wait_for_answer, wait_for_restart
from stages.decoder.containers import Limits
from tests.rtsp_server import RtspServer, rtsp_server
from tests.stages.decoding import decoder

ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
SECONDS = 100.0
"""Far more than anything here takes."""


class Camera:
    """Answers every request; keeps its connections, or closes each after one answer."""

    def __init__(self, keeps: bool) -> None:
        self._keeps, self.answered, self._port = keeps, 0, 0
        self._open: list[socket.socket] = []
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://me:word@127.0.0.1:{self._port}/x"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # whoever waits in accept() has to go before the port is free
        self._listener.close()
        self.close_connections()

    def close_connections(self) -> None:
        for each in self._open:
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)
        self._open = []

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while request := connection.recv(4096):
                assert request.startswith(b"OPTIONS rtsp://127.0.0.1:") and b"word" not in request
                connection.sendall(ANSWER)
                self.answered += 1
                if not self._keeps:
                    break
            connection.close()
        except OSError:
            pass


@pytest.fixture(params=[True, False], ids=["keeps connections", "closes each"])
def camera(request: pytest.FixtureRequest) -> Iterator[Camera]:
    camera = Camera(request.param)
    yield camera
    camera.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ASK_SECONDS", "_AGAIN_SECONDS", "_POLL_SECONDS"):
        monkeypatch.setattr(f"stages.decoder.connection_probe.{name}", 0.02)
    monkeypatch.setattr("stages.decoder.connection_probe._AWAY_SECONDS", SECONDS)  # however busy the machine is


@contextmanager
def waiting(camera: Camera) -> Iterator[tuple[list[bool], threading.Event]]:
    """Another thread waits: what it found when the block is left, and what stops it."""
    stopped, found = threading.Event(), []
    thread = threading.Thread(target=lambda: found.append(wait_for_restart(camera.url, SECONDS, stopped)))
    thread.start()
    until(lambda: camera.answered > 2)
    yield found, stopped
    thread.join()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_camera_that_was_away_and_is_back_is_noticed(camera: Camera) -> None:
    with waiting(camera) as (found, _):
        while not found:  # it may be back before it was looked at
            camera.stop()
            answered = camera.answered
            time.sleep(0.05)
            camera.start()
            until(lambda answered=answered: camera.answered > answered or found)
    assert found == [True]


def test_a_camera_that_only_closes_connections_has_not_restarted(camera: Camera) -> None:
    with waiting(camera) as (found, stopped):
        for _ in range(3):
            answered = camera.answered
            camera.close_connections()
            until(lambda answered=answered: camera.answered > answered or found)
        stopped.set()
    assert found == [False]


def test_stop_ends_the_wait_for_a_restart(camera: Camera) -> None:
    stopped = threading.Event()
    threading.Timer(0.1, stopped.set).start()
    assert not wait_for_restart(camera.url, SECONDS, stopped)
    assert not wait_for_restart("rtmp://127.0.0.1/x", SECONDS, stopped)
    wait_for_answer(camera.url, SECONDS, stopped)


def test_a_refused_password_is_tried_at_once_when_the_camera_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cameras, "_REFUSED_PAUSE_SECONDS", (3600.0, 3600.0))
    with rtsp_server("ball", user="viewer", password="n3w") as server:
        right = server.url
        server.stop()
        other = RtspServer("ball", server.port, "viewer", "0ld", False, 25)
        with decoder(right, once=False, reconnect_max_seconds=0.5) as (source, context):
            tries: list[str] = []
            status = context.status
            monkeypatch.setattr(
                context, "status", lambda **said: (status(**said), tries.append(str(said.get("trouble", ""))))
            )
            reading = source.read(0)
            first: list[object] = []
            thread = threading.Thread(target=lambda: first.append(next(reading)))
            other.start()
            thread.start()
            until(lambda: any("401" in trouble for trouble in tries))
            other.stop()
            deadline = time.monotonic() + SECONDS
            while thread.is_alive() and time.monotonic() < deadline:  # it may be back before it was looked at
                server.stop()
                server.start()
                thread.join(timeout=5)
            source.stop()
    assert len(first) == 1
    assert sum("401" in trouble for trouble in tries) == 1


def test_a_camera_that_restarts_again_and_again_is_tried_twice_early_and_then_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    class Refused(cameras.Camera):
        def _connection(self) -> Iterator[av.VideoFrame]:
            tries.append(len(tries))
            raise av.error.HTTPUnauthorizedError(401, "401 Unauthorized")

    class UntilAsked(threading.Event):
        """Stops as soon as somebody waits for the whole pause."""

        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return True

    monkeypatch.setattr(cameras, "wait_for_restart", lambda *_: True)
    settings = cameras.CameraSettings("rtsp://me:word@127.0.0.1/x", "rtsp://me:***@127.0.0.1/x", Limits())
    camera = Refused(settings, UntilAsked(), logging.getLogger("test"), lambda name: None, lambda **said: None)
    assert list(camera.frames()) == []
    assert len(tries) == 3
