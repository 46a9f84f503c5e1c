"""What an event log publishes, and a receiver of web hooks that can be told to be away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.messages import Data
from tests.stages.frames import yuv_frame


def told(index: int, folder: Path, begun: tuple[int, ...] = (), ended: tuple[int, ...] = (), **line: Any) -> Data:
    """The message of an event log in which these events begin and end."""
    begins = [{"source": "clip", "id": i, "uid": f"uid-{i}", "begin_seconds": i / 10} for i in (*begun, *ended)]
    ends = [
        {**begin, "end_seconds": 9.0, "peak_area": 0.1, "uncertain": False, **line} for begin in begins[len(begun) :]
    ]
    values = {"begun": begins[: len(begun)], "events": ends, "folder": str(folder)}
    return Data(yuv_frame(index, 100 * index, 20, 10).header, "motion_events", values)


class Receiver:
    """Takes requests and remembers them."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        """Headers, in lower case, and body."""
        self.answers: list[int] = []
        """Status codes of the next requests; 200 after them."""

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]


@contextmanager
def receiver(port: int = 0) -> Iterator[tuple[Receiver, str]]:
    """A web server that takes POST requests, and its address."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield kept, f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fail if it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
