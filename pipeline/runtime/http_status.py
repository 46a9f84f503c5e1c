"""The status of a run over HTTP, on loopback: metrics for Prometheus, and health for whoever restarts what is stuck.

- ``/metrics``: counters and latencies of each source and stage.
- ``/healthz``: 200 while the supervisor works, 503 once it has told nothing for 15 s.
- ``/readyz``: 200 when every source has given frames and none is in trouble, otherwise 503 and what is missing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from pipeline.errors import ConfigError
from pipeline.runtime.prometheus import StatusCollector
from pipeline.runtime.run_status import STUCK_SECONDS


class RunWatch:
    """Answers requests from the last status that a supervisor told."""

    def __init__(self, more: Collection[Collector] = ()) -> None:
        self._collector, registry = StatusCollector(), CollectorRegistry()
        for collector in (self._collector, *more):
            registry.register(collector)
        self._metrics = make_wsgi_app(registry)
        self._told = time.monotonic()

    def tell(self, status: dict[str, Any]) -> None:
        """Take what `pipeline.runtime.supervisor.Supervisor` passes to its `on_status`."""
        self._collector.status, self._told = status, time.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """A request, as WSGI has it."""
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return self._metrics(environ, start_response)
        answers = {"/healthz": self._health, "/readyz": self._readiness}
        if path not in answers:
            text = b"there are /metrics, /healthz and /readyz\n"
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [text]
        good, body = answers[path]()
        start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(body).encode() + b"\n"]

    def _health(self) -> tuple[bool, dict[str, Any]]:
        silent = time.monotonic() - self._told
        return silent < STUCK_SECONDS, {"seconds_since_last_status": round(silent, 1)}

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        sources = self._collector.status.get("sources", {})
        missing = {name: why for name, source in sources.items() if (why := _what_is_missing(source))}
        return bool(sources) and not missing, {"sources": len(sources), "not_ready": missing}


def _what_is_missing(source: dict[str, Any]) -> str:
    if source["state"] == "failed":
        return "failed"
    said = [stage["status"] for stage in source["stages"].values()]
    trouble = next((status["trouble"] for status in said if status.get("trouble")), "")
    return trouble or ("" if source["frames_decoded"] else "no frame yet")


@contextmanager
def serve_status(port: int, address: str = "127.0.0.1", more: Collection[Collector] = ()) -> Iterator[RunWatch]:
    """Serve at ``http://ADDRESS:PORT``, with `more` metrics besides those of the run.

    Raises:
        ConfigError: If the port is taken.
    """
    watch = RunWatch(more)
    try:
        server = make_server(address, port, watch, WSGIServer, _Silent)
    except OSError as error:
        raise ConfigError(f"cannot serve metrics on {address}:{port}: {error.strerror}; choose another port") from error
    thread = threading.Thread(target=server.serve_forever, name="http status", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request every second would bury the log."""
