"""A real RTSP server (GStreamer's) for tests: a file in a loop, or a moving pattern, with or without a password.

From a test::

    with rtsp_server(data_path("video", "odd", "bikes.mp4")) as server:
        decode(server.url)
        server.stop()     # the camera goes
        server.start()    # and comes back at the same address

It needs the system's own Python and GStreamer; `rtsp_server` skips the test where they are not there::

    apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-rtsp
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
PATH = "/camera"
_END_SECONDS = 60


class RtspServer:
    """A server in a process of its own."""

    def __init__(
        self, source: str, port: int, user: str, password: str, udp_alone: bool, fps: int, records: bool = False
    ) -> None:
        self.port = port
        self._command = [SYSTEM_PYTHON, __file__, source, "--port", str(port), "--user", user, "--password", password]
        self._command += ["--fps", str(fps), *["--udp-alone"] * udp_alone, *["--record"] * records]
        self._process: subprocess.Popen[str] | None = None
        login = f"{user}:{password}@" if user else ""
        self.url = f"rtsp://{login}127.0.0.1:{port}{PATH}"

    def start(self) -> None:
        """Returns when it listens."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.strip() != "ready":
            self.stop()
            raise RuntimeError(f"the RTSP server did not start: {line!r}")

    def stop(self) -> None:
        """Ends it as a power cut would: connections break."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It keeps its connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """After `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


@contextmanager
def rtsp_server(
    source: Path | str = "ball",
    port: int = 0,
    user: str = "",
    password: str = "",
    udp_alone: bool = False,
    fps: int = 25,
    records: bool = False,
) -> Iterator[RtspServer]:
    """A running server; skips the test where GStreamer is missing.

    Args:
        source: an H.264 file, shown over and over, or the name of one of GStreamer's test patterns.
        port: 0 for a free one.
        fps: of a test pattern.
        udp_alone: answer 461 to whom asks for TCP.
        records: take what is published to it, and keep that as MPEG-TS in the file `source`.
    """
    import pytest

    from tests.free_port import free_port

    missing = missing_parts()
    if missing:
        pytest.skip(f"RTSP server: {missing}; see tests/rtsp_server.py for what to install")
    server = RtspServer(str(source), port or free_port(), user, password, udp_alone, fps, records)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@functools.lru_cache(maxsize=1)
def missing_parts() -> str:
    """What this machine lacks for the server; empty if nothing."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"{SYSTEM_PYTHON} is not there"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    asked = subprocess.run(
        [SYSTEM_PYTHON, __file__, "--check"], capture_output=True, text=True, env=environment, check=False
    )
    return "" if asked.returncode == 0 else (asked.stderr.strip().splitlines() or ["GStreamer is not there"])[-1]


def _gstreamer() -> tuple[Any, Any, Any]:
    import gi

    for name in ("Gst", "GstRtsp", "GstRtspServer"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    missing = [
        name
        for name in ("qtdemux", "h264parse", "x264enc", "rtph264pay", "appsrc")
        if not Gst.ElementFactory.find(name)
    ]
    if missing:
        raise SystemExit(f"GStreamer lacks {', '.join(missing)}")
    return GLib, Gst, GstRtspServer


def _access_units(Gst: Any, path: str) -> list[Any]:
    """The file's H.264 packets as buffers, not decoded, with the times they have in the file."""
    pipeline = Gst.parse_launch(
        "filesrc name=file ! qtdemux ! h264parse config-interval=-1 ! "
        "video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    )
    pipeline.get_by_name("file").set_property("location", path)
    pipeline.set_state(Gst.State.PLAYING)
    out = pipeline.get_by_name("out")
    buffers = []
    while True:
        sample = out.emit("pull-sample")
        if sample is None:
            break
        buffers.append(sample.get_buffer())
    pipeline.set_state(Gst.State.NULL)
    return buffers


class _Loop:
    """Feeds buffers to an appsrc for ever, each time round later by the length of the file."""

    def __init__(self, Gst: Any, buffers: list[Any]) -> None:
        none = Gst.CLOCK_TIME_NONE
        self._buffers = buffers
        # As they are now: the copies that are sent share them with the buffers.
        self._times = [{name: at for name in ("pts", "dts") if (at := getattr(each, name)) != none} for each in buffers]
        first = min(buffer.pts for buffer in buffers)
        self._length = max(buffer.pts + buffer.duration for buffer in buffers) - first
        self._first = first
        self._position = 0

    def need_data(self, appsrc: Any, _length: int) -> None:
        turn, index = divmod(self._position, len(self._buffers))
        self._position += 1
        buffer = self._buffers[index].copy()
        for name, at in self._times[index].items():
            setattr(buffer, name, max(0, at - self._first + turn * self._length))
        appsrc.emit("push-buffer", buffer)


def _serve(arguments: argparse.Namespace) -> None:
    GLib, Gst, GstRtspServer = _gstreamer()
    factory = GstRtspServer.RTSPMediaFactory()
    if arguments.record:
        factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        sink = f"filesink location={arguments.source} append=true sync=false"
        factory.set_launch(f"( rtph264depay name=depay0 ! h264parse ! mpegtsmux ! {sink} )")
    elif Path(arguments.source).is_file():
        buffers = _access_units(Gst, arguments.source)
        factory.set_launch(
            "( appsrc name=loop is-live=true format=time block=false max-bytes=200000 "
            "caps=video/x-h264,stream-format=byte-stream,alignment=au ! "
            "h264parse config-interval=-1 ! identity sync=true ! rtph264pay name=pay0 pt=96 )"
        )

        def configure(_factory: Any, media: Any) -> None:
            media.loop = _Loop(Gst, buffers)
            media.get_element().get_by_name("loop").connect("need-data", media.loop.need_data)

        factory.connect("media-configure", configure)
    else:
        factory.set_launch(
            f"( videotestsrc is-live=true pattern={arguments.source} ! "
            f"video/x-raw,width=320,height=240,framerate={arguments.fps}/1 ! "
            f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={arguments.fps} ! "
            "rtph264pay name=pay0 pt=96 config-interval=1 )"
        )
    factory.set_shared(True)
    if arguments.udp_alone:
        from gi.repository import GstRtsp

        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(arguments.port))
    if arguments.user:
        _ask_password(GstRtspServer, server, factory, arguments.user, arguments.password)
    server.get_mount_points().add_factory(PATH, factory)
    if not server.attach(None):
        raise SystemExit(f"port {arguments.port} is taken")
    loop = GLib.MainLoop()
    # The test that started us holds our standard input: when it is gone, so are we.
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    print("ready", flush=True)
    loop.run()


def _ask_password(GstRtspServer: Any, server: Any, factory: Any, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for name in (GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT):
        permissions.add_permission_for_role("viewer", name, True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An RTSP server for tests")
    parser.add_argument("source", nargs="?", default="ball")
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--udp-alone", action="store_true", help="answer 461 to whom asks for TCP")
    parser.add_argument("--record", action="store_true", help="keep what is published in the file named as source")
    parser.add_argument("--check", action="store_true", help="only say whether GStreamer is there")
    given = parser.parse_args()
    if given.check:
        _gstreamer()
    else:
        _serve(given)
