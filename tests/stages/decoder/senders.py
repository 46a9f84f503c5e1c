"""Real senders of streams for tests: small web servers, and FFmpeg."""

from __future__ import annotations

import base64
import http.server
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

_PATTERN = "testsrc=size=64x48:rate=25"
_CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-pix_fmt", "yuv420p"]


@contextmanager
def web_server(get: Callable[[http.server.BaseHTTPRequestHandler], None], tls: Path | None = None) -> Iterator[str]:
    """A server on loopback whose requests `get` answers. Yields its address; `tls`: a file with certificate and key."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            try:
                get(self)
            except OSError:  # the reader has left
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def mjpeg(seconds_per_frame: float, login: str = "", frames: int = 1000) -> Callable[[Any], None]:
    """Answers as a camera does that sends JPEGs: one after the other, in one answer. `login`: ``user:password``."""
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}"

    def get(request: Any) -> None:
        if login and request.headers.get("Authorization") != wanted:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="camera"')
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for index in range(frames):
            image = np.full((48, 64, 3), 10 * index % 256, np.uint8)
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            request.wfile.write(head + jpeg + b"\r\n")
            request.wfile.flush()
            time.sleep(seconds_per_frame)

    return get


def files(folder: Path, cut_after_bytes: int | None = None) -> Callable[[Any], None]:
    """Answers with the files of a folder, and with parts of them; `cut_after_bytes`: each answer breaks off there."""

    def get(request: Any) -> None:
        path = folder / request.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        data, begin = path.read_bytes(), 0
        part = re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if part:
            begin = int(part[1])
        request.send_response(206 if part else 200)
        if part:
            request.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(data) - begin))
        request.end_headers()
        request.wfile.write(data[begin:][:cut_after_bytes])

    return get


@contextmanager
def ffmpeg(*to: str) -> Iterator[subprocess.Popen[bytes]]:
    """FFmpeg sends a test pattern in real time, for ever; skips the test where it is not installed."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-re", "-f", "lavfi", "-i", _PATTERN, *_CODED, *to]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], object]) -> None:
    """An assertion after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def certificate(path: Path) -> Path:
    """Of localhost, signed by itself, with its key."""
    made = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {path} -out {path}.crt"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*made.split(), *subject], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name(f"{path.name}.crt").read_text())
    return path
