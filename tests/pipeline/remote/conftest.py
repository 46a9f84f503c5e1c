"""Stores of every kind, empty, as a fixture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.remote.store import Store
from tests.s3_server import S3Server, s3_server
from tests.sftp_server import PASSWORD, sftp_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server("bucket") as server:
        yield server


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, sftp_server(tmp_path_factory.mktemp("served"), home) as url:
        patch.setenv("HOME", str(home))
        patch.setenv("SFTP_PASSWORD", PASSWORD)
        yield url


@pytest.fixture(params=["s3", "sftp"])
def store(request: pytest.FixtureRequest) -> Store:
    given = request.getfixturevalue(request.param)
    top = "s3://bucket" if request.param == "s3" else f"{given}/"
    return Store(f"{top.rstrip('/')}/{next(_numbers)}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.mp4"
    path.write_bytes(b"video")
    return path
