"""An S3 server of this process, of moto: real HTTP on loopback.

with s3_server("in", "out") as server:
    ... server.environment, as the variables of programs ...
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

SECRETS = {"AWS_ACCESS_KEY_ID": "AKIAFORTESTS", "AWS_SECRET_ACCESS_KEY": "s3SeCret-41"}


class S3Server(NamedTuple):
    """Running."""

    url: str
    environment: dict[str, str]
    """For programs that use it."""


@contextmanager
def s3_server(*buckets: str) -> Iterator[S3Server]:
    """With empty buckets. Skips the test where moto or s3fs is not installed; fails in CI."""
    for package in ("s3fs", "moto.server", "flask_cors"):
        if "CI" not in os.environ:
            pytest.importorskip(package)
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {**SECRETS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    before: dict[str, Any] = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        files = _forgetful()()
        for bucket in buckets:
            files.mkdir(bucket)
        yield S3Server(environment["AWS_ENDPOINT_URL"], environment)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _forgetful()
        server.stop()


def _forgetful() -> Any:
    """s3fs, which keeps what it has connected to, whatever the environment says by now."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    return s3fs.S3FileSystem
