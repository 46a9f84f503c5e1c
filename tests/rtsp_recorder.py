"""A real RTSP server (GStreamer's) that takes what is published to it, and keeps it as a file.

Run by the system's own Python, as `tests.rtsp_server` is.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATH = "/published"


class RtspRecorder:
    """A server in a process of its own."""

    def __init__(self, file: Path, port: int) -> None:
        self.url = f"rtsp://127.0.0.1:{port}{PATH}"
        self._command = ["/usr/bin/python3", __file__, str(file), "--port", str(port)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the RTSP server did not start")

    def stop(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None


@contextmanager
def rtsp_recorder(file: Path, port: int) -> Iterator[RtspRecorder]:
    """Running; skips the test where GStreamer is missing.

    Args:
        file: Where what is published goes, as MPEG-TS.
        port: To listen on.
    """
    import pytest

    from tests.rtsp_server import missing_parts

    missing = missing_parts()
    if missing:
        pytest.skip(f"RTSP server: {missing}; see tests/rtsp_server.py for what to install")
    server = RtspRecorder(file, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _serve(file: str, port: int) -> None:
    import gi

    for name in ("Gst", "GstRtspServer"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    sink = f"filesink location={file} append=true sync=false"
    factory.set_launch(f"( rtph264depay name=depay0 ! h264parse ! mpegtsmux ! {sink} )")
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    server.get_mount_points().add_factory(PATH, factory)
    if not server.attach(None):
        raise SystemExit(f"port {port} is taken")
    loop = GLib.MainLoop()
    # The test that started us holds our standard input: when it is gone, so are we.
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An RTSP server that keeps what is published to it, for tests")
    parser.add_argument("file")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    _serve(given.file, given.port)
