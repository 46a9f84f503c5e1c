"""Published weights: fetched once, checked always. A server of our own stands in for the official address."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raftline.raft.weights import downloads
from raftline.raft.weights.downloads import DOWNLOADS, cache_folder, download
from raftline.raft.weights.errors import WeightsUnavailable

CONTENT = b"weights" * 1000
PREFIX = hashlib.sha256(CONTENT).hexdigest()[:8]


class Server:
    """Answers every request with `content`, cut to `sent` bytes, and counts them."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.sent = len(CONTENT)
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content[: outer.sent])

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server()
    server.thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "_BASE_URL", f"http://127.0.0.1:{server.http.server_port}/models/")
    monkeypatch.setitem(DOWNLOADS, "torchvision/raft_large", f"raft_large_TEST-{PREFIX}.pth")
    yield server
    server.http.shutdown()
    server.thread.join()
    server.http.server_close()


def files_in_cache() -> list[str]:
    return [path.name for path in cache_folder().glob("*")]


def test_a_name_is_fetched_once_and_then_taken_from_the_cache(server: Server) -> None:
    first = download("torchvision/raft_large")
    assert first.read_bytes() == CONTENT
    assert first.parent == cache_folder()
    assert download("torchvision/raft_large") == first
    assert server.requests == [f"/models/raft_large_TEST-{PREFIX}.pth"]
    assert files_in_cache() == [first.name]


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server) -> None:
    path = download("torchvision/raft_large")
    path.write_bytes(CONTENT[:100])
    assert download("torchvision/raft_large").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_wrong_hash_is_refused_and_nothing_is_kept(server: Server) -> None:
    server.content = b"something else" * 500
    server.sent = len(server.content)
    with pytest.raises(WeightsUnavailable, match=f"does not have the expected SHA-256 \\({PREFIX}"):
        download("torchvision/raft_large")
    assert files_in_cache() == []


def test_a_connection_that_breaks_off_leaves_nothing(server: Server) -> None:
    server.sent = 100
    with pytest.raises(WeightsUnavailable, match=r"torchvision/raft_large"):
        download("torchvision/raft_large")
    assert files_in_cache() == []


def test_no_network_says_what_else_can_be_done(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_BASE_URL", "http://127.0.0.1:9/models/")
    with pytest.raises(WeightsUnavailable, match=r"could not be downloaded from .* or use weights: default"):
        download("torchvision/raft_large")
    assert files_in_cache() == []


def test_every_name_carries_the_beginning_of_its_hash() -> None:
    for name, file_name in DOWNLOADS.items():
        assert file_name.startswith(name.removeprefix("torchvision/")), name
        assert len(file_name.rsplit("-", 1)[1].removesuffix(".pth")) == 8
